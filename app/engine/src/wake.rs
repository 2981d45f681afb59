//! How the threads call the window.

use std::sync::Arc;

/// Called when there is something new to look at.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;
