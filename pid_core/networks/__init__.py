# SPDX-License-Identifier: Apache-2.0
"""Network definitions: a dataclass of sizes and one `nn.Module` tree for each; no files here."""
