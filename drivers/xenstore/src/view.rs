//! Reading and writing nodes.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use crate::connection::{Connection, Slot};
use crate::error::StoreError;
use crate::reply::Reply;
use crate::wire::{self, ABS_PATH_MAX, DirectoryPart, Errno, Kind, REL_PATH_MAX};

/// The maximum number of attempts to read a large directory that changes meanwhile.
const DIRECTORY_ATTEMPTS: usize = 8;
/// The maximum size of a directory, in bytes.
const DIRECTORY_MAX: usize = 64 * 1024;

/// The nodes of xenstore, as a transaction sees them ([`Transaction`](crate::Transaction)) or as
/// they are ([`Store`](crate::Store)).
///
/// A path that doesn't start with `/` is relative to the domain's own directory. If a future is
/// dropped early, the reply to its request is ignored.
#[derive(Clone)]
pub struct View {
    pub(crate) connection: Rc<RefCell<Connection>>,
    /// The transaction; 0 outside of any.
    pub(crate) tx_id: u32,
}

impl View {
    /// Sends a request and waits for the reply.
    pub(crate) async fn request(
        &self,
        kind: Kind,
        payload: &[&[u8]],
    ) -> Result<Vec<u8>, StoreError> {
        let slot = Slot::Waiting(None);
        let posted = self
            .connection
            .borrow_mut()
            .post(kind, self.tx_id, payload, slot);
        Reply::to(Rc::clone(&self.connection), posted?).await
    }

    /// Returns the value of a node.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with [`Errno::NoEntry`] if it isn't there, and others.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        self.request(Kind::Read, &[check_path(path)?, b"\0"]).await
    }

    /// Returns the value of a node, as text.
    ///
    /// # Errors
    /// Those of [`View::read`], and [`StoreError::NotText`].
    pub async fn read_string(&self, path: &str) -> Result<String, StoreError> {
        String::from_utf8(self.read(path).await?).map_err(|_| StoreError::NotText)
    }

    /// Returns the value of a node that may be missing, or hidden from this domain.
    ///
    /// # Errors
    /// Any other [`StoreError`].
    pub async fn read_optional(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.read(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a node, and creates it and its parents where missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.request(Kind::Write, &[check_path(path)?, b"\0", value.as_ref()])
            .await
            .map(drop)
    }

    /// Creates a node if it doesn't exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mkdir(&self, path: &str) -> Result<(), StoreError> {
        self.request(Kind::Mkdir, &[check_path(path)?, b"\0"])
            .await
            .map(drop)
    }

    /// Removes a node and everything below it. A missing node isn't an error, a missing parent is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.request(Kind::Remove, &[check_path(path)?, b"\0"])
            .await
            .map(drop)
    }

    /// Returns the names of a node's children, however many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn directory(&self, path: &str) -> Result<Vec<String>, StoreError> {
        match self
            .request(Kind::Directory, &[check_path(path)?, b"\0"])
            .await
        {
            Ok(list) => names(&list),
            Err(StoreError::Refused(Errno::TooBig)) => names(&self.large_directory(path).await?),
            Err(error) => Err(error),
        }
    }

    /// Collects a directory piece by piece, again from the start whenever it changed.
    async fn large_directory(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        for _ in 0..DIRECTORY_ATTEMPTS {
            let mut list = Vec::new();
            let mut generation = None;
            loop {
                let offset = list.len().to_string();
                let payload: [&[u8]; 4] = [check_path(path)?, b"\0", offset.as_bytes(), b"\0"];
                let reply = self.request(Kind::DirectoryPart, &payload).await?;
                let part = DirectoryPart::parse(&reply).ok_or(StoreError::Malformed)?;
                if *generation.get_or_insert_with(|| part.generation.to_vec()) != part.generation {
                    break;
                }
                list.extend_from_slice(part.list);
                if part.last {
                    return Ok(list);
                }
                if part.list.is_empty() {
                    return Err(StoreError::Malformed);
                }
                if list.len() > DIRECTORY_MAX {
                    return Err(StoreError::TooLarge);
                }
            }
        }
        Err(StoreError::Conflict)
    }
}

fn names(list: &[u8]) -> Result<Vec<String>, StoreError> {
    wire::strings(list)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8(name.to_vec()).map_err(|_| StoreError::NotText))
        .collect()
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("tx_id", &self.tx_id)
            .finish_non_exhaustive()
    }
}

/// Checks that a path can be sent.
pub(crate) fn check_path(path: &str) -> Result<&[u8], StoreError> {
    let max = if path.starts_with('/') {
        ABS_PATH_MAX
    } else {
        REL_PATH_MAX
    };
    if path.is_empty() || path.len() > max || path.contains('\0') {
        return Err(StoreError::BadPath);
    }
    Ok(path.as_bytes())
}
