//! Tasks: their life from submission to purge.

mod beat;
mod claim;
mod explain;
mod finish;
mod life;
mod list;
mod note;
mod prune;
mod read;
mod steer;
mod step;
mod submit;
mod sweep;

pub(crate) use beat::LOG_LINES;
pub use beat::{BeatItem, BeatResult};
pub(crate) use claim::Floors;
pub use claim::{ClaimSpec, Claims, Hint};
pub use finish::FinishItem;
pub use list::{Filter, OrderBy, PageQuery, Position, TOTAL_CAP};
pub use note::Note;
pub use prune::EndPlace;
pub use steer::ChangeWaiting;
pub(crate) use step::step;
pub use step::{Request, Scope, StepError, Stepped};
pub(crate) use submit::Gatherer;
pub use submit::{Concurrency, Idempotency, Made, NewTask, Rate, Rejected, Submission, SubmitOutcome};
pub use sweep::QueueDepth;
