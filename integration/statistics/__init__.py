"""The study's questions, answered: functions of arrays and frames, no I/O, no FHIR.

`analyse` gives the rows of `statistics.csv`; `kaplan_meier` the curve of retreatment; `describe` both and the frames
of a report. Change is always visit minus baseline, so negative is improvement, and every row says in `method` what
was computed and which is minus which. Intervals are 95 % unless the plan says otherwise. The Wilcoxon tests are
primary. Of the comparisons of groups, those that the abstract reports are labelled as its questions and not adjusted
for their number; the others are exploratory. A single arm before and after cannot attribute a change to the procedure.

What `statistic` may be, by `analysis`:

| analysis | statistic | value | interval | P value |
|---|---|---|---|---|
| improvement_rate | rate | share of the denominator in the category, 0-1 | Clopper-Pearson | |
| | rate_wilson | the same (any_decrease, with_change) | Wilson | |
| | reliable_change_limit | points that exceed measurement error | | |
| | mcnemar | of those who differ between first and last visit, share improved at the first only | as rate | exact |
| change | wilcoxon_w | R's V on raw sums, zeros dropped: summed ranks of rises; n non-zero | | normal; Holm, all four |
| | wilcoxon_w_pratt | the same, zeros ranked | | normal |
| | wilcoxon_w_0_100 | the same, zeros dropped, on points of 0-100; only where versions are mixed | | normal |
| | rank_biserial | (R+ - R-) / (R+ + R-) of raw sums | | |
| | hodges_lehmann | R's pseudo-median, raw sums, non-zero differences only; n = non-zero | test inversion | |
| | hodges_lehmann_all | pseudo-median of all differences of raw sums, zeros kept | test inversion | |
| | hodges_lehmann_0_100, hodges_lehmann_all_0_100 | the same two in points of 0-100 | test inversion | |
| | sign_test | share of falls among non-zero differences | Clopper-Pearson | exact |
| | paired_t | t | of the mean difference | Student |
| | mean_change, median_change | points of 0-100 | Student; order statistics | |
| | srm, ses | in SD of the change; of the baseline | large sample | |
| sex, ms_type, vein_sites | rate, mean_change, median_change | of one group | as above | |
| sex, ms_type | mann_whitney_u | R's W of the first group | | normal approximation; Holm over types |
| | hodges_lehmann_shift | first minus second group, points | test inversion | |
| | model_difference | first minus second group at the mean baseline, points | t | t; Holm over types |
| | model_interaction | difference of the slopes on baseline | t | t |
| ms_type | model_interaction_f | F: all slopes equal | | F |
| ms_type, vein_sites | kruskal_wallis_h | H | | chi-squared |
| vein_sites | jonckheere_j, jonckheere_z | J and its z over 1, 2, 3+ | | normal approximation |
| | slope_per_site, slope_per_site_adjusted | points a site; the latter adjusted for baseline | t | t |
| retreatment | rate, rate_after_improvement | share of patients | Clopper-Pearson | |
| | km_retreated_day_30, _91, _183, _365 | cumulative share; n = at risk | log(-log S) | |
| | km_median_days | days, empty where not reached | | |
| stent | rate, rate_per_session | share of patients; of sessions | Clopper-Pearson | |
| adverse_event, serious_adverse_event | rate, rate_per_session | of patients; of sessions | Clopper-Pearson | |
| | events | number of events | | |
| | rate_upper_bound | only where no patient has one | one-sided bound as value | |
"""

from __future__ import annotations

from integration.statistics.figures import COLUMNS
from integration.statistics.plan import AnalysisPlan
from integration.statistics.study import Analysis, analyse, describe
from integration.statistics.summaries import baseline, scores
from integration.statistics.survival import kaplan_meier

__all__ = ["COLUMNS", "Analysis", "AnalysisPlan", "analyse", "baseline", "describe", "kaplan_meier", "scores"]
