"""SMART App Launch: how an EHR opens a patient's chart page, for that patient and no other.

Follows SMART App Launch 2.2, EHR launch (https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html), with PKCE
(RFC 7636), the issuer in the answer where the server sends it (RFC 9207), and RFC 9700's best current practices.
"""
