"""Where the record detector keeps what: rows of a block of 16 slots, of the scratch, and the fixed constants.

A block is one flat float32 array; number r of lane l lies at `r * L + l`, so a loop over lanes is a vector instruction.
"""

from __future__ import annotations

from typing import Final

import numpy as np

L: Final = 16
"""Lanes: neighbouring slots that are computed together."""
FEATURES: Final = 13

# Rows of a block: what the bank knows of a slot.
SEEN: Final = 0  # samples learned
SPAN: Final = 1  # seconds learned, silences left out
STEP: Final = 2  # usual seconds between samples
LAST: Final = 3  # previous value
MEAN: Final = 4  # four running means of the value
SMOOTH: Final = 8  # smoothed residuals: hour of day, the same scaled, hour of week quick and slow
SPREAD: Final = 12  # long-run mean of the absolute hour residual
PEAK: Final = 13  # highest total of votes since the last re-arming
AGE: Final = 14  # seconds since that peak
FAST: Final = 15  # level channel: quick mean, slow clipped mean, mean absolute distance
LEVEL: Final = 16
LEVEL_SPREAD: Final = 17
TRUST: Final = 18  # borrowed samples: the slot counts as having seen so many more
ORIGIN: Final = 19  # values are kept as distances from it: float32 stays exact on large numbers
HOUR: Final = 20  # 1 + local hour of the week that the next four rows belong to, 0 = none yet
DAY: Final = 21  # the present hour of the four profiles; put away when the hour ends
DAY_SCALE: Final = 22
DAY_LEVEL: Final = 23
WEEK: Final = 24
EPOCH: Final = 25  # seconds since the present epoch of the bands began
LOW: Final = 26  # bands of the features
HIGH: Final = LOW + FEATURES
VOTE: Final = HIGH + FEATURES
NEAR_LOW: Final = VOTE + FEATURES  # bits (uint32): features that came near an end of their band in this epoch
NEAR_HIGH: Final = NEAR_LOW + 1
ROWS: Final = NEAR_HIGH + 1

# Rows of the scratch: what one call works out. The names in the plural follow the rows above.
MASK: Final = 0  # 1 = this lane has a sample
X: Final = 1
DT: Final = 2
STEPS: Final = 3
PASSED: Final = 4  # seconds that count for the means: DT, at most one step
COUNT: Final = 5  # samples seen or borrowed
LONG: Final = 6  # weight of this sample in the long-run means
MEANS: Final = 7
SMOOTHS: Final = 11
SPREADS: Final = 15
DAYS: Final = 16
DAY_SCALES: Final = 17
WEEKS: Final = 18
FASTS: Final = 19
DISTANCE: Final = 20
SIZE: Final = 21
Z: Final = 22
TOTAL: Final = 23
BEST: Final = 24
WHICH: Final = 25
SCORE: Final = 26
SILENT: Final = 27
FADE: Final = 28
R: Final = 29  # residuals: hour of day, scaled, hour of week
RZ: Final = 30
RW: Final = 31
TAKEN: Final = 32  # the value as far as it is learned
F: Final = 33  # features of the sample
NEW: Final = F + FEATURES  # votes with this sample's
AMOUNT: Final = NEW + FEATURES  # how large the value usually is, absolute; the same in units of the scaled residual
AMOUNT_SCALED: Final = AMOUNT + 1
SCRATCH: Final = AMOUNT_SCALED + 1

# Settings (float32).
POINTS_S: Final = 0
WARM: Final = 1
EASE: Final = 2
MATURITY: Final = 3
EXCESS: Final = 4
DECAY: Final = 5
LINE: Final = 6
LEVEL_LINE: Final = 7
REARM_S: Final = 8
STRETCH: Final = 9
EPOCH_S: Final = 10
REARM_STEPS: Final = 11

# Constants. Means of 6, 24, 96 and 288 samples at 5 min were the best of the prototype on NAB; as seconds, with a
# floor in samples for slower series, they score the same there (69.6 against 69.5) and mean the same at every pace.
NEVER: Final = np.iinfo(np.int64).min
ALARM: Final = np.float32(0.8)
ONE: Final = np.float32(1)
NIL: Final = np.float32(0)
TINY: Final = np.float32(1e-9)
FLOOR: Final = np.float32(1e-3)
MEAN_S: Final = (1800.0, 7200.0, 28800.0, 86400.0)
MEAN_STEPS: Final = (6.0, 12.0, 24.0, 48.0)
LONG_S: Final = np.float32(300_000)
LONG_STEPS: Final = np.float32(100)
LEVEL_S: Final = np.float32(1_200_000)
LEVEL_YOUNG: Final = np.float32(100)
LEVEL_MATURE_S: Final = np.float32(28_800)
LEVEL_DOUBTED: Final = np.float32(30)  # the most a level can reach is this, divided by the doubt
PROFILE_RATE: Final = np.float32(0.1 / 300)
LEVEL_PROFILE_RATE: Final = np.float32(0.5 / 3600)
WEEK_S: Final = np.float32(600_000)
WEEKLY_VOTES_S: Final = np.float32(700_000)
FIRST_WEEKLY: Final = 8
LAST_WEEKLY: Final = 10
FIRST_SCALED: Final = 11
# Per feature: seconds until it says anything (an hour's usual value, in the first day a distance from a mean that is
# itself under way, means something when the hour comes again), and seconds from then on until it is mature.
BORN_S: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 86.4e3, 86.4e3, 0.0, 604.8e3, 604.8e3, 604.8e3, 86.4e3, 86.4e3)
MATURE_S: Final = (
    28.8e3,
    28.8e3,
    7.2e3,
    28.8e3,
    86.4e3,
    86.4e3,
    86.4e3,
    86.4e3,
    86.4e3,
    86.4e3,
    86.4e3,
    86.4e3,
    86.4e3,
)
# Per feature: the share of the usual amount that a band reaches to both sides of its middle at least; less where means
# dampen. NAB is the same with none and with twice as much; a change of 0.05 % in what stands still is no news.
STILL: Final = (0.005, 0.005, 0.005, 0.002, 0.002, 0.005, 0.002, 0.005, 0.005, 0.002, 0.002, 0.005, 0.002)
MOST_LEVEL: Final = np.float32(0.79)  # a level alone stays below the line: an alarm has a feature
MOST_EARLY: Final = np.float32(8)
GAP_STEPS: Final = np.float32(3)
GAP_S: Final = np.float32(1800)
CLIP: Final = np.float32(5)
FAST_CLIP: Final = np.float32(100)
OLD: Final = np.float32(100)
LARGEST: Final = 1e30
UNSEEN: Final = np.uint16(0x7FC0)
"""NaN in the 16 bits of a profile."""
