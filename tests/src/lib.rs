//! Behaviour suites.
