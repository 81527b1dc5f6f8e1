//! From what a lane found to an outcome: the budget held, the stored input judged, the better of restarts kept.

use super::identity::lane_key;
use super::job::{Goal, Job, Outcome, Rung, Work};
use super::lanes::{LaneInput, LaneOutput};
use super::reach;
use super::subject::prediction;

impl<'a> Work<'a> {
    /// What a lane starts with: a sample under a job, at one of its budgets. `warm` is what an earlier run came to.
    pub(super) fn lane_input(
        &self,
        job: &'a Job,
        rung: Rung,
        sample: usize,
        restart: u64,
        warm: Option<&[f32]>,
    ) -> LaneInput<'a> {
        let data = &self.subject.data;
        let clean = data.sample(sample);
        let key = || lane_key(job.seed, &job.stream, data.index[sample], restart);
        let (start, bounds) = reach::start(job, rung, clean, &data.domain, warm, key);
        LaneInput {
            start,
            clean,
            bounds,
            label: self.left(job, sample),
            target: if let Goal::Target(class) = job.goal { class } else { 0 },
            finding: job.finding as u32,
            threshold_logit: self.subject.threshold_logit(job.finding),
            radius: reach::radius(job.settings.norm, rung.eps),
            step_size: rung.step_size as f32,
            beside: reach::beside(job, rung),
            steps: job.steps,
            stop_on_success: job.stop_on_success,
            parameters: &job.parameters,
        }
    }

    /// The class that a lane leads away from: the true one, or on the way to a target that which the model took it for.
    fn left(&self, job: &Job, sample: usize) -> u32 {
        let label = self.subject.label(sample, job.finding);
        let answer = prediction(&self.subject.deciding(self.subject.clean_logits(sample), job.finding));
        match job.goal {
            Goal::Target(class) if answer != class => answer,
            _ => label,
        }
    }

    /// A sample that `job` leaves as it is.
    pub(super) fn untouched(&self, job: &Job, sample: usize, attacked: bool) -> Outcome {
        Outcome {
            x: job.kept(self.subject.data.sample(sample)),
            logits: self.subject.clean_logits(sample).to_vec(),
            attacked,
            success: false,
            l0: 0,
            norms: [0.0; 3],
            steps_used: 0,
            forward_calls: 1,
            gradient_calls: 0,
            zero_gradients: 0.0,
            rising: false,
            seconds: 0.0,
            inferred: false,
        }
    }

    /// Makes sure that an input which a job came to holds its budgets.
    pub(super) fn hold_budget(&self, job: &Job, eps: f64, sample: usize, x: &mut [f32]) {
        let data = &self.subject.data;
        reach::hold(job, eps, data.sample(sample), &data.domain, x);
    }

    /// What a lane's output is to a job, by the judge's logits.
    pub(super) fn outcome(
        &self,
        job: &Job,
        sample: usize,
        output: &LaneOutput,
        logits: &[f32],
        seconds: f64,
    ) -> Outcome {
        let (attacked, _) = job.role(self.subject, sample);
        let data = &self.subject.data;
        let clean = data.sample(sample);
        let (l0, norms) = reach::change(job, &output.x, clean, &data.domain);
        Outcome {
            l0,
            x: job.kept(&output.x),
            logits: logits.to_vec(),
            attacked,
            success: job.reach(self.subject, sample, logits) > 0.0,
            norms,
            steps_used: output.steps_used,
            forward_calls: output.steps_used + u64::from(output.ended_early),
            gradient_calls: output.steps_used,
            zero_gradients: f64::from(output.zero_gradients),
            rising: output.rising,
            seconds,
            inferred: false,
        }
    }

    /// The outcome that reaches the aim further, with the cost of both.
    pub(super) fn better(&self, job: &Job, sample: usize, best: Option<Outcome>, latest: Outcome) -> Outcome {
        let Some(best) = best else { return latest };
        let reach = |outcome: &Outcome| job.reach(self.subject, sample, &outcome.logits);
        let ahead = reach(&latest) > reach(&best);
        let (steps, forwards) =
            (best.steps_used + latest.steps_used, best.forward_calls + latest.forward_calls);
        let gradients = best.gradient_calls + latest.gradient_calls;
        let zeros = best.zero_gradients + latest.zero_gradients;
        let seconds = best.seconds + latest.seconds;
        let kept = if ahead { latest } else { best };
        Outcome {
            steps_used: steps,
            forward_calls: forwards,
            gradient_calls: gradients,
            zero_gradients: zeros,
            seconds,
            ..kept
        }
    }
}
