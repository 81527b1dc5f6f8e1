//! From what a lane found to an outcome: the budget held, the stored input judged, the better of restarts kept.

use super::identity::lane_key;
use super::job::{Goal, Job, Outcome, Rung, Work};
use super::lanes::{LaneInput, LaneOutput};
use crate::attacks::Norm;
use crate::attacks::evasion::start::{Bounds, changed, distance, random_start, within};

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
        let norm = job.settings.norm;
        let bounds = Bounds::new(clean, &data.domain, norm, rung.eps);
        let start = match warm {
            Some(warm) => within(norm, rung.eps, warm, clean, &bounds, &data.domain),
            None if job.random_start => {
                let key = lane_key(job.seed, &job.stream, data.index[sample], restart);
                random_start(norm, rung.eps, clean, &bounds, &data.domain, key)
            }
            None => clean.to_vec(),
        };
        // Radii are a hair smaller than eps, so that an f32 sum of squares never lets an f64 norm exceed it.
        let radius = if norm == Norm::Linf { rung.eps } else { rung.eps * (1.0 - 4e-6) };
        LaneInput {
            start,
            clean,
            bounds,
            label: self.subject.label(sample, job.finding),
            target: if let Goal::Target(class) = job.goal { class } else { 0 },
            finding: job.finding as u32,
            threshold_logit: self.subject.threshold_logit(job.finding),
            radius: radius as f32,
            step_size: rung.step_size as f32,
            steps: job.steps,
            stop_on_success: job.stop_on_success,
            parameters: &job.parameters,
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
            seconds: 0.0,
            inferred: false,
        }
    }

    /// The projection already keeps the budget; should rounding ever break it, the change is shrunk until it holds in f64: at
    /// first by a millionth, at last to nothing. Categories stay whole until then.
    pub(super) fn hold_budget(&self, norm: Norm, eps: f64, sample: usize, x: &mut [f32]) {
        let domain = &self.subject.data.domain;
        let clean = self.subject.data.sample(sample);
        let mut margin = 1e-6;
        while distance(norm, x, clean, &domain.scale) > eps {
            for (i, (x, &clean)) in x.iter_mut().zip(clean).enumerate() {
                if margin >= 1.0 {
                    *x = clean;
                } else if !domain.one_hot.iter().any(|group| group.contains(&i)) {
                    *x = (f64::from(clean) + (f64::from(*x) - f64::from(clean)) * (1.0 - margin)) as f32;
                }
            }
            margin *= 2.0;
        }
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
        let norms =
            [Norm::L1, Norm::L2, Norm::Linf].map(|norm| distance(norm, &output.x, clean, &data.domain.scale));
        Outcome {
            l0: changed(&output.x, clean),
            x: job.kept(&output.x),
            logits: logits.to_vec(),
            attacked,
            success: job.reach(self.subject, sample, logits) > 0.0,
            norms,
            steps_used: output.steps_used,
            forward_calls: output.steps_used + u64::from(output.ended_early),
            gradient_calls: output.steps_used,
            zero_gradients: f64::from(output.zero_gradients),
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
