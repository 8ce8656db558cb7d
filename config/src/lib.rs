//! Part of Troupe; see the README's map.
