//! Tasks: their life from submission to purge.

mod beat;
mod claim;
mod dead;
mod explain;
mod finish;
mod gate;
mod life;
mod list;
mod note;
mod prune;
mod read;
mod steer;
mod step;
mod submit;
mod sweep;
mod workflow;

pub(crate) use beat::LOG_LINES;
pub use beat::{BeatItem, BeatResult};
pub use claim::{ClaimSpec, Claims, Further, Hint};
pub(crate) use claim::{Floors, Walks, claim_one};
pub use dead::Revived;
pub use finish::FinishItem;
pub(crate) use gate::holders;
pub use gate::{GateInfo, Holder};
pub use list::{Filter, OrderBy, PageQuery, Position, TOTAL_CAP};
pub use note::Note;
pub use prune::EndPlace;
pub use steer::ChangeWaiting;
pub(crate) use step::step;
pub use step::{Request, Scope, StepError, Stepped};
pub use submit::{CacheKey, Concurrency, Made, NewTask, Rate, Rejected, Submission, SubmitOutcome};
pub(crate) use submit::{Gatherer, repeats, submit};
pub use sweep::{QueueDepth, ReadyPlace, Waiting};
pub use workflow::{
    Expanded, Expansion, NewWorkflow, ResultSize, RetryRefused, Spawning, WorkflowOutcome, WorkflowSubmission,
};
