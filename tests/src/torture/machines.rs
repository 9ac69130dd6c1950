//! Machines
