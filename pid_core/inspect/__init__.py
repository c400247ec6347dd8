# SPDX-License-Identifier: Apache-2.0
"""What a weights file is, read from its header and its name, without torch."""
