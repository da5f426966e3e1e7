"""CDS Hooks 2.0: one service, `patient-view`, that shows a patient's latest MSIS-29 scores in a card.

https://cds-hooks.hl7.org/2.0/. It advises nothing: the card says what is in the chart and leads to the chart page.
"""
