//! The pool: a directory with marks that say whose it is. Says what the marks say; whether that
//! is the pool that was meant is not judged here.

use super::record::{self, PoolRecord, VERSION};
use super::{EXTENT, LocalKind, LocalStorage, image, io, own_directory};
use crate::durable;
use crate::ensure::Ensured;
use crate::storage::{PoolMarks, StorageError};
use planner::model::observed::{Pool, PoolView};
use planner::model::size::Size;
use std::fs;

impl LocalStorage {
    pub(super) fn look_at_pool(&self) -> Result<PoolView, StorageError> {
        let Some(record) = self.pool_record()? else { return Ok(PoolView::Absent) };
        let used = self.used()?;
        Ok(PoolView::Present(Pool {
            id: record.id,
            fleet: record.fleet,
            host: record.host,
            machine: record.machine,
            size: record.size_bytes,
            used,
            extent: EXTENT,
            header: Size::ZERO,
            cap_enforced: match self.kind {
                LocalKind::Image => true,
                LocalKind::Directory => false,
            },
            grows_online: match self.kind {
                LocalKind::Image => image::grows_online(),
                LocalKind::Directory => true,
            },
            copies_online: match self.kind {
                LocalKind::Image => true,
                LocalKind::Directory => false,
            },
            fill: None,
        }))
    }

    /// The pool's marks, if this storage can work with the pool; nothing only if there certainly
    /// is none: without marks there must be no volumes either.
    fn pool_record(&self) -> Result<Option<PoolRecord>, StorageError> {
        if !own_directory(self.dir.path())? {
            return Ok(None);
        }
        let unreadable = |why: String| {
            Err(StorageError::Unreadable {
                what: format!("pool {}", self.dir.path().display()),
                why,
            })
        };
        let Some(record) = record::read::<PoolRecord>(&self.dir.pool())? else {
            let volumes = self.dir.volumes();
            if own_directory(&volumes)?
                && fs::read_dir(&volumes).map_err(io("listing", &volumes))?.next().is_some()
            {
                return unreadable("it has volumes, and its marks (pool.json) are gone".to_owned());
            }
            return Ok(None);
        };
        let me = rustix::process::geteuid().as_raw();
        if record.owner_uid != me {
            let owner = record.owner_uid;
            return unreadable(format!("it belongs to user {owner}, and this is user {me}"));
        }
        if record.kind != self.kind {
            let (is, not) = (record.kind.as_str(), self.kind.as_str());
            return unreadable(format!("its volumes are {is}, not {not}"));
        }
        Ok(Some(record))
    }

    /// The pool's marks, if it is of our fleet. Its host's name may be an old one.
    pub(super) fn our_pool(&self) -> Result<PoolRecord, StorageError> {
        let what = format!("pool {}", self.dir.path().display());
        match self.pool_record()? {
            None => Err(StorageError::Absent { what }),
            Some(record) if record.fleet != self.fleet => {
                Err(StorageError::Conflict { what, found: format!("is of fleet {}", record.fleet) })
            }
            Some(record) => Ok(record),
        }
    }

    pub(super) fn ensure_pool(
        &self,
        marks: &PoolMarks,
        size: Size,
    ) -> Result<Ensured, StorageError> {
        let conflict = |found: String| {
            let what = format!("pool {}", self.dir.path().display());
            Err(StorageError::Conflict { what, found })
        };
        if marks.fleet != self.fleet || marks.host != self.host {
            return conflict(format!("is for {} of fleet {}", self.host, self.fleet));
        }
        if let Some(record) = self.pool_record()? {
            let same = record.id == marks.id
                && record.fleet == marks.fleet
                && record.host == marks.host
                && record.machine == marks.machine
                && record.size_bytes == size;
            if same {
                return Ok(Ensured::AlreadySo);
            }
            let PoolRecord { id, fleet, host, size_bytes, .. } = record;
            return conflict(format!("is there already: {id}, {size_bytes}, {host} of {fleet}"));
        }
        let volumes = self.dir.volumes();
        durable::make_dir(&volumes).map_err(io("making", &volumes))?;
        own_directory(&volumes)?;
        let record = PoolRecord {
            version: VERSION,
            id: marks.id.clone(),
            fleet: marks.fleet.clone(),
            host: marks.host.clone(),
            machine: marks.machine.clone(),
            kind: self.kind,
            owner_uid: rustix::process::geteuid().as_raw(),
            size_bytes: size,
            made_at: crate::clock::now(),
        };
        record::write(&self.dir.pool(), &record)?;
        Ok(Ensured::Made)
    }
}
