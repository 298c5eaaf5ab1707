"""Certificates: what a schedule file claims, derived again by other means than those that found it.

`certify` takes a Schedule and returns a Certificate. `refuted` and `shortest` ask Z3 alone, on an
encoding of rules 1 to 6 of its own (`docs/certificates.md`).
"""

from twill.certify.certificate import Certificate, Interval, TierCheck
from twill.certify.examination import certify
from twill.certify.question import Answer, refuted, shortest
from twill.certify.text import certificate_json, certificate_text

__all__ = [
    "Answer", "Certificate", "Interval", "TierCheck", "certificate_json", "certificate_text", "certify", "refuted",
    "shortest",
]  # fmt: skip
