"""What the vouchers' process does by itself to stay provable: it verifies campaigns in turn."""

from datetime import timedelta

import structlog
from prometheus_client import Counter

from services.vouchers.store.proof_store import ProofStore

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)

_FINDINGS = Counter("quittance_vouchers_findings_total", "Findings nobody had seen before.", ["kind"])


class Proofs:
    """Safe on several replicas: a campaign is verified by one of them.

    verify_interval: between two verifications of a campaign.
    """

    def __init__(self, store: ProofStore, verify_interval: timedelta) -> None:
        self._store = store
        self._verify_interval = verify_interval

    async def verify(self) -> None:
        """Verifies the campaigns that are due."""
        for campaign_id in await self._store.due(self._verify_interval):
            verified = await self._store.verify_due(campaign_id, self._verify_interval)
            if verified is None:
                continue
            result, new_findings = verified
            for finding in new_findings:
                _FINDINGS.labels(finding.kind.value).inc()
                _log.error(
                    "vouchers_finding",
                    kind=finding.kind.value,
                    campaign_id=str(finding.campaign_id or ""),
                    subject=finding.subject,
                    expected=finding.expected,
                    found=finding.found,
                )
            _log.info(
                "campaign_verified",
                campaign_id=str(campaign_id or ""),
                redemptions=result.redemptions,
                findings=result.findings,
            )
