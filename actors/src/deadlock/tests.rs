//! The detector.
