# What R says: the oracle of tests/integration/statistics.
#
#   Rscript tests/oracles/statistics.R
#
# reads statistics_cohort.csv, statistics_mixed_cohort.csv and statistics_adverse_events.csv beside this file, and writes
#   statistics_study.csv         every figure of the synthetic study, in the columns of statistics.csv
#   statistics_mixed.csv         the change and the comparisons of groups of the study with both versions
#   statistics_scores.csv        distributions of scores and changes
#   statistics_kaplan_meier.csv  the curve of retreatment
#   statistics_examples.csv      published examples and small cases, one number a row
# Only base R and survival. R 4.2.2, survival 3.5-3 wrote what is committed.

suppressPackageStartupMessages(library(survival))
options(digits = 17, stringsAsFactors = FALSE, warn = 1)
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))))
beside <- function(name) file.path(here, name)
TOL <- 1e-10 # of wilcox.test's search for its limits

# ---------------------------------------------------------------------------------------- what base R does not have

pratt <- function(d) { # signed ranks with zeros ranked, then dropped; variance of Cureton 1967; continuity correction
  r <- rank(abs(d)); n <- length(d); z0 <- sum(d == 0)
  v <- sum(r[d > 0])
  ties <- table(r[d != 0])
  mean <- (n * (n + 1) - z0 * (z0 + 1)) / 4
  var <- (n * (n + 1) * (2 * n + 1) - z0 * (z0 + 1) * (2 * z0 + 1)) / 24 - sum(ties^3 - ties) / 48
  z <- v - mean
  list(v = v, p = 2 * pnorm(-abs((z - sign(z) * 0.5) / sqrt(var))))
}

jonckheere <- function(x, g) { # J by counting pairs, one by one; variance of Hollander and Wolfe, section 6.2
  groups <- split(x, g); k <- length(groups); j <- 0
  for (a in seq_len(k - 1)) for (b in (a + 1):k) {
    j <- j + sum(outer(groups[[a]], groups[[b]], function(u, v) (v > u) + (v == u) / 2))
  }
  n <- lengths(groups); N <- sum(n); t <- as.numeric(table(x))
  mean <- (N^2 - sum(n^2)) / 4
  var <- (N * (N - 1) * (2 * N + 5) - sum(n * (n - 1) * (2 * n + 5)) - sum(t * (t - 1) * (2 * t + 5))) / 72 +
    sum(n * (n - 1) * (n - 2)) * sum(t * (t - 1) * (t - 2)) / (36 * N * (N - 1) * (N - 2)) +
    sum(n * (n - 1)) * sum(t * (t - 1)) / (8 * N * (N - 1))
  z <- (j - mean) / sqrt(var)
  list(j = j, mean = mean, var = var, z = z, p = 2 * pnorm(-abs(z)))
}

walsh_median <- function(d) { # of the non-zero differences, by forming all of them; wilcox.test only searches for it
  walsh_median_all(d[d != 0])
}
walsh_median_all <- function(d) {
  w <- outer(d, d, "+") / 2
  median(w[!lower.tri(w)])
}
all_ci <- function(d) { # wilcox.test drops zeros; moved away from zero there are none
  wilcox.test(d + 1000, exact = FALSE, conf.int = TRUE, tol.root = TOL)$conf.int - 1000
}

median_ci <- function(x, level = 0.95) {
  n <- length(x); q <- qbinom((1 - level) / 2, n, 0.5)
  if (q < 1) c(NA, NA) else sort(x)[c(q, n + 1 - q)]
}

# ---------------------------------------------------------------------------------------------------- rows of figures

rows <- list()
add <- function(analysis, statistic, value, ci = c(NA, NA), scale = "", visit = "", group = "", responder = "",
                category = "", numerator = NA, denominator = NA, kind = "", n = NA, p = NA, p_adjusted = NA) {
  rows[[length(rows) + 1]] <<- data.frame(
    analysis, scale, visit, group, responder, category, statistic, value = as.numeric(value),
    ci_low = as.numeric(ci[1]), ci_high = as.numeric(ci[2]), numerator, denominator, denominator_kind = kind, n,
    p_value = as.numeric(p), p_adjusted = as.numeric(p_adjusted)
  )
}
add_share <- function(analysis, statistic, k, n, kind, ...) {
  add(analysis, statistic, k / n, binom.test(k, n)$conf.int, numerator = k, denominator = n, kind = kind, n = n, ...)
}

cohort <- read.csv(beside("statistics_cohort.csv"), na.strings = "", colClasses = c(patient_id = "character"))
events <- read.csv(beside("statistics_adverse_events.csv"), na.strings = "", colClasses = "character")
truth <- function(x) x == "true"
N <- nrow(cohort)
scales <- c("physical", "psychological"); visits <- c("month_1", "month_6")
panel <- list(physical = c("any_decrease", "7", "7.5", "8", "10", "reliable"),
              psychological = c("any_decrease", "6", "10", "reliable"))
retest <- c(physical = 0.94, psychological = 0.87)
change_of <- function(scale, visit) round(cohort[[paste0(scale, "_change_", visit)]], 9)
sum_change_of <- function(scale, visit) round(cohort[[paste0(scale, "_sum_change_", visit)]], 9)
baseline_of <- function(scale) cohort[[paste0(scale, "_baseline")]]
seen <- function(visit) !is.na(cohort[[paste0(visit, "_date")]])

# improvement_rate
for (s in scales) {
  base <- baseline_of(s)
  limit <- 1.96 * sd(base, na.rm = TRUE) * sqrt(2) * sqrt(1 - retest[[s]])
  add("improvement_rate", "reliable_change_limit", limit, scale = s, responder = "reliable", n = sum(!is.na(base)))
  for (v in visits) {
    d <- change_of(s, v); d <- d[!is.na(d)]
    for (r in panel[[s]]) {
      better <- switch(r, any_decrease = d < 0, reliable = d < -limit, round(d, 6) <= -as.numeric(r))
      worse <- switch(r, any_decrease = d > 0, reliable = d > limit, round(d, 6) >= as.numeric(r))
      counts <- c(improved = sum(better), unchanged = sum(!better & !worse), worsened = sum(worse))
      for (category in names(counts)) {
        k <- counts[[category]]
        for (kind in c("with_change", "seen", "cohort")) {
          total <- switch(kind, with_change = length(d), seen = sum(seen(v)), cohort = N)
          add_share("improvement_rate", "rate", k, total, kind, scale = s, visit = v, responder = r, category = category)
        }
        if (r == "any_decrease") {
          wilson <- prop.test(k, length(d), correct = FALSE)$conf.int
          add("improvement_rate", "rate_wilson", k / length(d), wilson, scale = s, visit = v, responder = r,
              category = category, numerator = k, denominator = length(d), kind = "with_change", n = length(d))
        }
      }
    }
  }
  first <- change_of(s, "month_1") < 0; last <- change_of(s, "month_6") < 0
  lost <- sum(first & !last, na.rm = TRUE); gained <- sum(!first & last, na.rm = TRUE)
  test <- binom.test(lost, lost + gained)
  add("improvement_rate", "mcnemar", lost / (lost + gained), test$conf.int, scale = s, visit = "month_6",
      responder = "any_decrease", numerator = lost, denominator = lost + gained, n = lost + gained, p = test$p.value)
}

# change
figures_of_change <- function() {
  cells <- expand.grid(visit = visits, scale = scales)
  primary <- mapply(function(s, v) wilcox.test(na.omit(sum_change_of(s, v)), exact = FALSE)$p.value, cells$scale, cells$visit)
  adjusted <- p.adjust(primary, "holm")
  for (i in seq_len(nrow(cells))) {
    s <- cells$scale[i]; v <- cells$visit[i]
    has <- !is.na(change_of(s, v)); raw <- sum_change_of(s, v)[has]; d <- change_of(s, v)[has]; base <- baseline_of(s)[has]
    n <- length(d); nonzero <- sum(raw != 0)
    put <- function(...) add("change", ..., scale = s, visit = v, denominator = n, kind = "with_change")
    test <- wilcox.test(raw, exact = FALSE, conf.int = TRUE, tol.root = TOL)
    points <- wilcox.test(d, exact = FALSE, conf.int = TRUE, tol.root = TOL)
    put("wilcoxon_w", test$statistic, numerator = nonzero, n = nonzero, p = test$p.value, p_adjusted = adjusted[i])
    zeros <- pratt(raw)
    put("wilcoxon_w_pratt", zeros$v, numerator = nonzero, n = nonzero, p = zeros$p)
    if (length(unique(cohort[[paste0(v, "_version")]][has])) > 1) {
      put("wilcoxon_w_0_100", points$statistic, numerator = nonzero, n = nonzero, p = points$p.value)
    }
    put("hodges_lehmann", walsh_median(raw), test$conf.int, n = nonzero)
    put("hodges_lehmann_all", walsh_median_all(raw), all_ci(raw), n = n)
    put("hodges_lehmann_0_100", walsh_median(d), points$conf.int, n = nonzero)
    put("hodges_lehmann_all_0_100", walsh_median_all(d), all_ci(d), n = n)
    r <- rank(abs(raw[raw != 0])); up <- sum(r[raw[raw != 0] > 0]); down <- sum(r[raw[raw != 0] < 0])
    put("rank_biserial", (up - down) / (up + down), n = nonzero)
    sign <- binom.test(sum(raw < 0), nonzero)
    add("change", "sign_test", sign$estimate, sign$conf.int, scale = s, visit = v, numerator = sum(raw < 0),
        denominator = nonzero, n = nonzero, p = sign$p.value)
    t <- t.test(d)
    put("paired_t", t$statistic, t$conf.int, n = n, p = t$p.value)
    put("mean_change", t$estimate, t$conf.int, n = n)
    put("median_change", median(d), median_ci(d), n = n)
    srm <- mean(d) / sd(d)
    put("srm", srm, srm + c(-1, 1) * qnorm(0.975) * sqrt(1 / n + srm^2 / (2 * n)), n = n)
    ses <- mean(d) / sd(base)
    put("ses", ses, ses + c(-1, 1) * qnorm(0.975) * sqrt(2 * (1 - cor(base, base + d)) / n + ses^2 / (2 * n)), n = n)
  }
}
figures_of_change()

# sex, ms_type, vein_sites
each_group <- function(analysis, s, v, d, g, labels) {
  for (label in labels) {
    x <- d[!is.na(g) & g == label]
    add_share(analysis, "rate", sum(x < 0), length(x), "with_change", scale = s, visit = v, group = label,
              responder = "any_decrease", category = "improved")
    put <- function(...) add(analysis, ..., scale = s, visit = v, group = label, denominator = length(x),
                             kind = "with_change", n = length(x))
    put("mean_change", mean(x), t.test(x)$conf.int)
    put("median_change", median(x), median_ci(x))
  }
}
pairwise <- function(analysis, s, v, d, base, g, labels) {
  pairs <- combn(labels, 2, simplify = FALSE)
  name <- function(pair) paste(pair, collapse = " vs ")
  inside <- !is.na(g) & g %in% labels
  m <- data.frame(d = d[inside], b = base[inside] - mean(base[inside]), g = g[inside])
  put <- function(statistic, value, ci = c(NA, NA), pair, n, p = NA, p_adjusted = NA) {
    add(analysis, statistic, value, ci, scale = s, visit = v, group = name(pair), denominator = n, kind = "with_change",
        n = n, p = p, p_adjusted = p_adjusted)
  }
  tests <- lapply(pairs, function(pair) {
    wilcox.test(m$d[m$g == pair[1]], m$d[m$g == pair[2]], exact = FALSE, conf.int = TRUE, tol.root = TOL)
  })
  fits <- lapply(pairs, function(pair) {
    m$g <- relevel(factor(m$g, levels = labels), ref = pair[2])
    lm(d ~ b * g, data = m)
  })
  term <- function(i, prefix) {
    row <- paste0(prefix, pairs[[i]][1])
    c(coef(summary(fits[[i]]))[row, c(1, 4)], confint(fits[[i]])[row, ])
  }
  family <- function(p) if (length(p) > 1) p.adjust(p, "holm") else rep(NA, length(p))
  p_tests <- sapply(tests, function(test) test$p.value)
  p_terms <- sapply(seq_along(pairs), function(i) term(i, "g")[[2]])
  for (i in seq_along(pairs)) {
    n <- sum(m$g %in% pairs[[i]])
    put("mann_whitney_u", tests[[i]]$statistic, pair = pairs[[i]], n = n, p = p_tests[i], p_adjusted = family(p_tests)[i])
    every <- outer(m$d[m$g == pairs[[i]][1]], m$d[m$g == pairs[[i]][2]], "-")
    put("hodges_lehmann_shift", median(every), tests[[i]]$conf.int, pair = pairs[[i]], n = n)
    difference <- term(i, "g"); interaction <- term(i, "b:g")
    put("model_difference", difference[1], difference[3:4], pairs[[i]], nrow(m), difference[2], family(p_terms)[i])
    put("model_interaction", interaction[1], interaction[3:4], pairs[[i]], nrow(m), interaction[2])
  }
  if (length(pairs) > 1) {
    f <- anova(lm(d ~ b + g, data = m), lm(d ~ b * g, data = m))
    add(analysis, "model_interaction_f", f$F[2], scale = s, visit = v, denominator = nrow(m), kind = "with_change",
        n = nrow(m), p = f$`Pr(>F)`[2])
  }
}
figures_of_groups <- function() for (s in scales) for (v in visits) {
  has <- !is.na(change_of(s, v)); d <- change_of(s, v)[has]; base <- baseline_of(s)[has]
  put <- function(analysis, ..., n) add(analysis, ..., scale = s, visit = v, denominator = n, kind = "with_change", n = n)
  each_group("sex", s, v, d, cohort$sex[has], c("female", "male"))
  pairwise("sex", s, v, d, base, cohort$sex[has], c("female", "male"))
  type <- cohort$ms_type[has]; types <- c("RRMS", "SPMS", "PPMS")
  each_group("ms_type", s, v, d, type, c(types, "unspecified"))
  pairwise("ms_type", s, v, d, base, type, types)
  k <- kruskal.test(d[type %in% types], factor(type[type %in% types]))
  put("ms_type", "kruskal_wallis_h", k$statistic, p = k$p.value, n = sum(type %in% types))
  sites <- cohort$vein_sites[has]; g <- ifelse(sites >= 3, "3+", as.character(sites))
  each_group("vein_sites", s, v, d, g, c("1", "2", "3+"))
  trend <- jonckheere(d, g)
  put("vein_sites", "jonckheere_j", trend$j, p = trend$p, n = length(d))
  put("vein_sites", "jonckheere_z", trend$z, p = trend$p, n = length(d))
  k <- kruskal.test(d, factor(g))
  put("vein_sites", "kruskal_wallis_h", k$statistic, p = k$p.value, n = length(d))
  for (fit in list(list("slope_per_site", lm(d ~ sites)), list("slope_per_site_adjusted", lm(d ~ sites + base)))) {
    put("vein_sites", fit[[1]], coef(fit[[2]])["sites"], confint(fit[[2]])["sites", ],
        p = coef(summary(fit[[2]]))["sites", 4], n = length(d))
  }
}

figures_of_groups()

# retreatment, stent
retreated <- truth(cohort$retreated); after <- truth(cohort$retreated_after_improvement); at_6 <- seen("month_6")
both <- function(analysis, statistic, event) {
  add_share(analysis, statistic, sum(event), N, "cohort")
  add_share(analysis, statistic, sum(event & at_6), sum(at_6), "seen", visit = "month_6")
}
both("retreatment", "rate", retreated)
both("retreatment", "rate_after_improvement", retreated & after)
days <- ifelse(retreated, cohort$retreatment_days, cohort$last_contact_days)
curve <- survfit(Surv(days, retreated) ~ 1, conf.type = "log-log")
for (day in c(30, 91, 183, 365)) {
  at <- if (day <= max(days)) summary(curve, times = day) else NULL
  add("retreatment", paste0("km_retreated_day_", day), if (is.null(at)) NA else 1 - at$surv,
      if (is.null(at)) c(NA, NA) else 1 - c(at$upper, at$lower), denominator = N, kind = "cohort",
      numerator = if (is.null(at)) NA else sum(days <= day & retreated), n = if (is.null(at)) 0 else at$n.risk)
}
add("retreatment", "km_median_days", summary(curve)$table[["median"]], denominator = N, kind = "cohort", n = curve$n)
both("stent", "rate", truth(cohort$stent))
add_share("stent", "rate_per_session", sum(cohort$stent_sessions), sum(cohort$sessions), "")

# adverse events
inside <- events[events$patient_id %in% cohort$patient_id, ]
for (analysis in c("adverse_event", "serious_adverse_event")) {
  x <- if (analysis == "adverse_event") inside else inside[tolower(inside$seriousness) %in% "serious", ]
  add_share(analysis, "rate", length(unique(x$patient_id)), N, "cohort")
  add_share(analysis, "rate_per_session", nrow(unique(x[c("patient_id", "session_date")])), sum(cohort$sessions), "")
  add(analysis, "events", nrow(x), kind = "cohort", n = N)
}
write.csv(do.call(rbind, rows), beside("statistics_study.csv"), row.names = FALSE, na = "", quote = FALSE)

# ------------------------------------------------------------------------------------------------ curve and summaries

write.csv(
  data.frame(days = curve$time, at_risk = curve$n.risk, events = curve$n.event, censored = curve$n.censor,
             survival = curve$surv, ci_low = curve$lower, ci_high = curve$upper),
  beside("statistics_kaplan_meier.csv"), row.names = FALSE, na = "", quote = FALSE
)
summaries <- list()
for (s in scales) for (v in c("baseline", visits)) for (measure in c("score", if (v != "baseline") "change")) {
  x <- na.omit(cohort[[if (measure == "score") paste0(s, "_", v) else paste0(s, "_change_", v)]])
  q <- unname(quantile(x, c(0.25, 0.75)))
  summaries[[length(summaries) + 1]] <- data.frame(scale = s, visit = v, measure, n = length(x), mean = mean(x), sd = sd(x),
    median = median(x), q1 = q[1], q3 = q[2], min = min(x), max = max(x))
}
write.csv(do.call(rbind, summaries), beside("statistics_scores.csv"), row.names = FALSE, quote = FALSE)

# ------------------------------------------------------------------------------------------------------ both versions

one_version <- length(rows)
rows <- list()
cohort <- read.csv(beside("statistics_mixed_cohort.csv"), na.strings = "", colClasses = c(patient_id = "character"))
figures_of_change()
figures_of_groups()
write.csv(do.call(rbind, rows), beside("statistics_mixed.csv"), row.names = FALSE, na = "", quote = FALSE)

# ------------------------------------------------------------------------------------------------------------ examples

examples <- list()
say <- function(case, ...) {
  values <- list(...)
  examples[[length(examples) + 1]] <<- data.frame(case, quantity = names(values), value = as.numeric(unlist(values)))
}

# Darwin's maize (in the documentation of scipy.stats.wilcoxon); no ties, no zeros
maize <- c(6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75)
w <- wilcox.test(maize, exact = FALSE, conf.int = TRUE, tol.root = TOL)
say("maize", v = w$statistic, p = w$p.value, exact_p = wilcox.test(maize)$p.value, estimate = walsh_median(maize),
    low = w$conf.int[1], high = w$conf.int[2], pratt_v = pratt(maize)$v, pratt_p = pratt(maize)$p)

# Depression scores of Hollander and Wolfe, in ?wilcox.test
x <- c(1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
y <- c(0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)
w <- wilcox.test(round(x - y, 9), exact = FALSE, conf.int = TRUE, tol.root = TOL)
greater <- wilcox.test(x, y, paired = TRUE, alternative = "greater")
say("depression", v = w$statistic, p = w$p.value, exact_greater = greater$p.value,
    estimate = walsh_median(round(x - y, 9)), low = w$conf.int[1], high = w$conf.int[2])

# sleep: ties and a zero
d <- with(sleep, extra[group == 1] - extra[group == 2])
w <- wilcox.test(round(d, 9), exact = FALSE, conf.int = TRUE, tol.root = TOL); t <- t.test(d)
say("sleep", v = w$statistic, p = w$p.value, estimate = walsh_median(round(d, 9)), low = w$conf.int[1], high = w$conf.int[2],
    t = t$statistic, t_p = t$p.value, t_low = t$conf.int[1], t_high = t$conf.int[2],
    all = walsh_median_all(round(d, 9)), all_low = all_ci(round(d, 9))[1], all_high = all_ci(round(d, 9))[2],
    pratt_v = pratt(round(d, 9))$v, pratt_p = pratt(round(d, 9))$p)

# many ties and zeros, built from a formula so that any language can build it
d <- ((0:199 * 37) %% 23) - 13
w <- wilcox.test(d, exact = FALSE, conf.int = TRUE, tol.root = TOL)
say("modular", v = w$statistic, p = w$p.value, estimate = walsh_median(d), low = w$conf.int[1], high = w$conf.int[2],
    all = walsh_median_all(d), all_low = all_ci(d)[1], all_high = all_ci(d)[2],
    pratt_v = pratt(d)$v, pratt_p = pratt(d)$p, median = median(d), median_low = median_ci(d)[1], median_high = median_ci(d)[2])
f <- ((0:99 * 31) %% 17) - 9; m <- ((0:69 * 29) %% 19) - 7
w <- wilcox.test(f, m, exact = FALSE, conf.int = TRUE, tol.root = TOL)
say("modular_groups", w = w$statistic, p = w$p.value, estimate = median(outer(f, m, "-")), low = w$conf.int[1],
    high = w$conf.int[2])

# Permeability of the chorioamnion (Hollander and Wolfe), in ?wilcox.test
at_term <- c(0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46); early <- c(1.15, 0.88, 0.90, 0.74, 1.21)
w <- wilcox.test(at_term, early, exact = FALSE, conf.int = TRUE, tol.root = TOL)
say("permeability", w = w$statistic, p = w$p.value, estimate = median(outer(at_term, early, "-")), low = w$conf.int[1],
    high = w$conf.int[2])

# Mucociliary efficiency (Hollander and Wolfe), in ?kruskal.test
k <- kruskal.test(list(c(2.9, 3.0, 2.5, 2.6, 3.2), c(3.8, 2.7, 4.0, 2.4), c(2.8, 3.4, 3.7, 2.2, 2.0)))
say("mucociliary", h = k$statistic, p = k$p.value)

# Proportions of Newcombe 1998, and others
for (kn in list(c(81, 263), c(15, 148), c(0, 20), c(1, 29), c(1, 259), c(0, 259), c(259, 259), c(15, 239), c(128, 239))) {
  cp <- binom.test(kn[1], kn[2])$conf.int; wilson <- suppressWarnings(prop.test(kn[1], kn[2], correct = FALSE)$conf.int)
  say(paste(kn, collapse = "/"), cp_low = cp[1], cp_high = cp[2], wilson_low = wilson[1], wilson_high = wilson[2],
      half_p = binom.test(kn[1], kn[2])$p.value, below = binom.test(kn[1], kn[2], alternative = "less")$conf.int[2])
}

# Ordered trend. "knowledge": Hollander and Wolfe, Example 6.2, J = 79, variance 150.29.
knowledge <- c(40, 35, 38, 43, 44, 41, 38, 40, 47, 44, 40, 42, 48, 40, 45, 43, 46, 44)
j <- jonckheere(knowledge, rep(1:3, each = 6))
say("knowledge", j = j$j, z = j$z, p = j$p, mean = j$mean, var = j$var)
# Mean and variance over every assignment of nine tied numbers to groups of 2, 3 and 4: the formula's own proof.
values <- c(1, 1, 2, 2, 2, 3, 4, 4, 5); js <- c()
for (a in combn(9, 2, simplify = FALSE)) for (b in combn(setdiff(1:9, a), 3, simplify = FALSE)) {
  g <- rep(3, 9); g[a] <- 1; g[b] <- 2
  js <- c(js, jonckheere(values, g)$j)
}
j <- jonckheere(values, c(1, 1, 2, 2, 2, 3, 3, 3, 3))
say("every_assignment", j = j$j, z = j$z, mean = mean(js), var = mean((js - mean(js))^2), assignments = length(js))
# With two groups J is the Mann-Whitney count and its normal approximation is wilcox.test's without the correction.
j <- wilcox.test(m, f, exact = FALSE, correct = FALSE)
say("two_groups", j = j$statistic, p = j$p.value)

# survival's aml, maintained arm
fit <- survfit(Surv(time, status) ~ 1, data = aml, subset = x == "Maintained", conf.type = "log-log")
at <- summary(fit, times = c(13, 30, 48))
say("aml", s_13 = at$surv[1], low_13 = at$lower[1], high_13 = at$upper[1], risk_13 = at$n.risk[1], s_30 = at$surv[2],
    low_30 = at$lower[2], high_30 = at$upper[2], s_48 = at$surv[3], median = summary(fit)$table[["median"]])

p <- p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")
say("holm", p1 = p[1], p2 = p[2], p3 = p[3], p4 = p[4], p5 = p[5])
p <- p.adjust(c(0.04, 0.001, NA, 0.03), "holm")
say("holm_missing", p1 = p[1], p2 = p[2], p4 = p[4])
out <- do.call(rbind, examples)
write.csv(out, beside("statistics_examples.csv"), row.names = FALSE, na = "", quote = FALSE)
cat(one_version, "figures of one version,", length(rows), "of both,", nrow(out), "numbers of examples\n")
