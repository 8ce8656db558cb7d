//! The core of a replica, in a cluster whose disks, apply threads and network are moved by hand.
//! Waiters are plain numbers.
mod cluster;
mod elections;
mod leases;
mod members;
mod reads;
mod snapshots;
mod stalls;
mod writes;
