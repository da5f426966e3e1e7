"""The chart page: one patient's MSIS-29 scores over time, beside what the EHR holds of them."""
