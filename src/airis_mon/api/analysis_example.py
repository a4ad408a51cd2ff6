"""One analysis, as the documents of the API show it: the last of the documented samples, in four digits."""

from __future__ import annotations

from typing import Any

ANALYSIS: dict[str, Any] = {
    "success": True,
    "result": {
        "id": "analysis_cpu_usage_1772366400000",
        "type": "statistics",
        "data": {
            "statistics": {
                "mean": 72.0,
                "median": 72.5,
                "stdDev": 44.25,
                "min": 12.0,
                "max": 156.0,
                "q1": 42.25,
                "q3": 90.5,
                "count": 8,
                "stdDevDefinition": "sample: squared distances to the mean over n - 1",
                "mad": 25.0,
                "skew": 0.5627,
                "percentiles": {
                    "1": 13.54,
                    "5": 19.7,
                    "10": 27.4,
                    "25": 42.25,
                    "50": 72.5,
                    "75": 90.5,
                    "90": 113.3,
                    "95": 134.6,
                    "99": 151.7,
                },
            },
            "anomaly": {
                "isAnomaly": True,
                "score": 3.13,
                "threshold": 2.5,
                "method": "zscore",
                "explanation": "The value at index 6 (156) is unlike the others: "
                "it lies 3.13 of their standard deviations from "
                "their mean, and the threshold is 2.5.",
                "points": [
                    {
                        "index": 6,
                        "value": 156.0,
                        "score": 3.13,
                        "methods": ["zscore"],
                        "scores": {"zscore": 3.13, "iqr": 1.358, "mad": 2.253, "isolation_forest": 0.6856},
                    }
                ],
                "index": 6,
                "flagged": 1,
                "thresholds": {"zscore": 2.5, "iqr": 1.5, "mad": 3.5, "isolation_forest": 0.8},
                "why": {},
            },
            "trend": {
                "trend": "stable",
                "slope": 3.0,
                "r2": 0.02758,
                "confidence": 0.2895,
                "intercept": 61.5,
                "theilSen": 6.3,
                "pairs": 28,
                "sampled": False,
                "mannKendall": {"tau": 0.1429, "p": 0.7105},
            },
            "autocorrelation": [-0.2909, -0.4905, 0.2913, 0.1564, -0.08958, -0.1516, 0.07485],
            "seasonality": [],
            "changePoints": None,
        },
        "confidence": 0.7891,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "metadata": {"metric": "cpu_usage", "dataPoints": 8},
        "confidenceDefinition": "1 - p for an anomaly, p otherwise; p: chance that of as many "
        "independent normal values the farthest lies so far out "
        "(Student's t of the leave-one-out z, Bonferroni)",
        "explanation": "8 values between 12 and 156: mean 72, median 72.5, standard deviation "
        "44.25. The value at index 6 (156) is unlike the others: it lies 3.13 "
        "of their standard deviations from their mean, and the threshold is "
        "2.5. No trend stands out from chance (Mann-Kendall's p is 0.7105).",
        "why": {"changePoints": "needs 10 values, has 8"},
    },
    "metadata": {"cached": False},
    "timestamp": "2026-03-01T12:00:00.000Z",
}
