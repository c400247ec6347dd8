# SPDX-License-Identifier: Apache-2.0
"""From noise to image: schedules, samplers as generators, and what an early-stopped latent needs.

Samplers know nothing of networks: they call `velocity(x_t, t)` with the schedule's own t in [0, 1]
(1 = noise).
"""
