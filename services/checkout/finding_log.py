"""Findings are told to whoever watches logs and metrics, whoever makes them: a webhook, a poll, a comparison."""

import structlog
from prometheus_client import Counter

from services.checkout.domain.findings import Finding

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_FINDINGS = Counter("quittance_payment_findings_total", "Findings nobody had seen before.", ["provider", "kind"])


def report_finding(finding: Finding) -> None:
    """Once it is stored, and only the first time."""
    _FINDINGS.labels(finding.provider, finding.kind.value).inc()
    _log.error(
        "payment_finding",
        kind=finding.kind.value,
        provider=finding.provider,
        subject=finding.subject,
        order_id=str(finding.order_id or ""),
        details=dict(finding.details),
    )
