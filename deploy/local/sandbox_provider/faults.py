"""The switch that makes the provider misbehave; it changes the API for merchants only, never the pay page."""

import enum

from pydantic import BaseModel, ConfigDict, Field

_SLOW_S = 5.0


class Mode(enum.Enum):
    """How requests of the merchant are answered."""

    OK = "ok"
    # 401: the merchant's key is not known.
    UNCONFIGURED = "unconfigured"
    # After a pause; the effect comes then, too, whether or not anybody still waits.
    SLOW = "slow"
    # 500 before the effect.
    FAILING = "failing"
    # 500 after the effect.
    LOSE_ANSWER = "lose_answer"
    # As if done, but nothing is kept.
    LOSE_EFFECT = "lose_effect"
    # 402 with `code`: a definite no to new sessions.
    REFUSING = "refusing"


class Faults(BaseModel):
    """The switch's position, as POST /control takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Mode.OK
    # Pause before anything is done; every mode may have one, "slow" has one of 5 s unless it is given.
    slow_s: float | None = Field(None, ge=0, le=600)
    code: str = Field("session_refused", pattern="^[a-z_]{1,64}$")

    @property
    def pause_s(self) -> float:
        """How long every request waits first, in seconds."""
        if self.slow_s is not None:
            return self.slow_s
        return _SLOW_S if self.mode is Mode.SLOW else 0.0
