//! Pages of scans that a published lock cuts.
