//! Tables of what the coordinator decides.
