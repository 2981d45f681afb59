//! Branches: runs that take over from another at one of its steps.

use serde::{Deserialize, Serialize};

use crate::error::WordsError;
use crate::request::RenderRequest;

/// Where a run takes over from another: steps before [`Self::step`] are the other's, the rest its own.
///
/// It is part of [`RenderRequest`], so that a PNG of a branch restores it exactly; the command line has no option for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Index of the first step with the branch's own settings.
    pub step: usize,
    /// The run whose earlier steps are kept; a branch itself, perhaps.
    pub from: RenderRequest,
}

impl Branch {
    /// A branch at `step` of the run of `request`.
    ///
    /// A run that is a branch itself is passed over where it had not begun to differ yet, so that branches of branches are no
    /// deeper than the run has steps, however often one branches.
    pub fn at(step: usize, request: &RenderRequest) -> Self {
        let from = request.clone();
        let branch = Self { step, from };
        Self {
            from: branch.origin().clone(),
            step,
        }
    }

    /// Refuses a branch that `request` can't continue: latents and noise levels must mean the same in both runs.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] that names what differs.
    pub(crate) fn check(&self, request: &RenderRequest) -> Result<(), WordsError> {
        let bad = |message: String| Err(WordsError::BadInput(message));
        if self.step >= request.sampling.steps {
            return bad(format!(
                "a branch from step {} needs more than {} steps; branch from an earlier one",
                self.step + 1,
                request.sampling.steps
            ));
        }
        if self.from.sampling.steps != request.sampling.steps {
            return bad(format!(
                "a branch has the steps of its run ({}), not {}; mix a new lane to change them",
                self.from.sampling.steps, request.sampling.steps
            ));
        }
        if self.from.scene != request.scene || self.from.model != request.model {
            return bad("a branch has the photo, size and model of its run; mix a new lane to change them".to_owned());
        }
        self.from.check_settings()
    }

    /// The run that computed the step before [`Self::step`] by itself, rather than taking it over: a branch taken no later
    /// than where its run began to differ comes from that run's own origin.
    pub fn origin(&self) -> &RenderRequest {
        let mut origin = &self.from;
        while let Some(inner) = origin.branch.as_ref().filter(|inner| self.step <= inner.step) {
            origin = &inner.from;
        }
        origin
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{ModelSettings, Sampling, SceneSettings};

    fn branch(step: usize, from: RenderRequest) -> RenderRequest {
        RenderRequest {
            branch: Some(Box::new(Branch { step, from })),
            ..RenderRequest::default()
        }
    }

    #[test]
    fn a_branch_of_a_branch_before_it_comes_from_the_first_run() {
        let first = RenderRequest {
            sampling: Sampling {
                seed: 7,
                ..Sampling::default()
            },
            ..RenderRequest::default()
        };
        let second = branch(5, first.clone());
        let origin = |step| {
            let third = branch(step, second.clone());
            third.branch.as_ref().expect("just made").origin().clone()
        };
        assert_eq!(origin(3), first);
        assert_eq!(origin(5), first);
        assert_eq!(origin(6), second);
    }

    #[test]
    fn branching_again_and_again_does_not_pile_up() {
        let mut request = RenderRequest::default();
        for step in [5, 3, 5, 5, 8, 8, 4] {
            let branch = Branch::at(step, &request);
            request.branch = Some(Box::new(branch));
        }
        let branch = request.branch.expect("just made");
        assert_eq!((branch.step, branch.from.branch.map(|inner| inner.step)), (4, Some(3)));
    }

    #[test]
    fn a_branch_is_led_to_photo_and_model_with_all_its_runs() {
        let first = RenderRequest {
            scene: SceneSettings {
                path: Some("old.png".into()),
                ..SceneSettings::default()
            },
            model: ModelSettings {
                path: Some("old".into()),
                ..ModelSettings::default()
            },
            ..RenderRequest::default()
        };
        let mut third = branch(8, branch(5, first));
        let model = ModelSettings {
            path: Some("new".into()),
            ..ModelSettings::default()
        };
        third.lead_to(Some(Path::new("new.png")), &model);
        let mut run = Some(&third);
        let mut runs = 0;
        while let Some(request) = run {
            assert_eq!(request.scene.path.as_deref(), Some(Path::new("new.png")));
            assert_eq!(request.model, model);
            run = request.branch.as_ref().map(|branch| &branch.from);
            runs += 1;
        }
        assert_eq!(runs, 3);
    }

    #[test]
    fn a_branch_must_fit_its_run() {
        let refusal = |change: fn(&mut RenderRequest)| {
            let mut request = branch(5, RenderRequest::default());
            change(&mut request);
            request.check_settings().expect_err("refused").to_string()
        };
        assert!(branch(5, RenderRequest::default()).check_settings().is_ok());
        assert!(refusal(|request| request.sampling.steps = 30).contains("not 30"));
        assert!(refusal(|request| request.sampling.steps = 5).contains("step 6"));
        assert!(refusal(|request| request.scene.size = 128).contains("photo, size and model"));
        assert!(refusal(|request| request.model.path = Some("other".into())).contains("photo, size and model"));
    }

    #[test]
    fn json_keeps_branches_and_leaves_them_out_of_plain_runs() {
        let request = branch(5, branch(2, RenderRequest::default()));
        let json = serde_json::to_string(&request).expect("plain data");
        assert_eq!(
            serde_json::from_str::<RenderRequest>(&json).expect("just written"),
            request
        );
        let plain = serde_json::to_string(&RenderRequest::default()).expect("plain data");
        assert!(!plain.contains("branch"));
    }
}
