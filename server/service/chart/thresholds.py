"""What published sources call a meaningful change of an MSIS-29 score; nothing of it is this software's opinion.

Both figures were read in their sources. They say nothing about what caused a change, and a change that reaches one may
still lie within what two answers of one person differ by without any change.
"""

from __future__ import annotations

from typing import Final

from server.service.chart.model import Scale, Threshold

THRESHOLDS: Final[dict[Scale, Threshold]] = {
    "physical": Threshold(
        scale="physical",
        points=8,
        source="Costelloe et al., J Neurol Neurosurg Psychiatry 2007;78:841-844 (PMID 17332049)",
        url="https://pubmed.ncbi.nlm.nih.gov/17332049/",
        remark=(
            "In the same study the score also fell by 8 points in people at EDSS 5.5 to 8.5 whose EDSS had not changed."
        ),
    ),
    "psychological": Threshold(
        scale="psychological",
        points=6,
        source="Widener and Allen, Arch Phys Med Rehabil 2014 (S0003-9993(13)00539-X)",
        url="https://www.archives-pmr.org/article/S0003-9993(13)00539-X/fulltext",
        remark="The source says about 6.",
    ),
}
