//! What LVM and the kernel do to volumes.
