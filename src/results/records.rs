//! The rows of every results table; a field's documentation is its column's description in the file.

use std::sync::Arc;

use super::schema::table;
use super::text::Text;

table! {
    /// One cell: one configuration of one attack on one model, over one sample set.
    CellRow = "cells" {
        /// Hash of the complete configuration, the contents of model, data and sample set, and the attack's revision.
        cell_id: Text,
        /// Name of the study.
        study: Text,
        /// The model's id in the study.
        model: Text,
        /// SHA-256 of the model's weights and config.
        model_sha256: Text,
        /// The data set's id in the study.
        data: Text,
        /// SHA-256 of the data set.
        data_sha256: Text,
        /// Which split of the data was attacked: train, val, test or all.
        split: Text,
        /// SHA-256 of the identities of the samples that were evaluated.
        sample_set_sha256: Text,
        /// Whether the data were made by a generator.
        synthetic: bool,
        /// The defense's id in the study.
        defense: Text,
        /// Whether the attack knew of the defense and worked through it.
        adaptive: bool,
        /// Kind of threat: evasion, poisoning, backdoor, privacy or availability.
        threat: Text,
        /// The attack's name in the registry.
        attack: Text,
        /// Revision of the attack; another revision may give other numbers.
        attack_revision: u32,
        /// What the adversary knows: white, grey or black box.
        knowledge: Text,
        /// What counts as success: any (any wrong answer), hide (finding to none), raise (none to finding) or target.
        aim: Option<Text>,
        /// The class that the attack wants, where aim is target.
        target: Option<u32>,
        /// The finding of a multi-label model that this cell attacks.
        finding: Option<Text>,
        /// Names of the classes that the decision is between, in the order of their numbers (target, label, clean_pred and adv_pred of samples, k of
        /// class:k in metrics); numbers where neither model nor data name them.
        classes: Vec<Text>,
        /// The norm of the budget: linf, l2, l1, l0 or tokens; null where the threat has no budget.
        norm: Option<Text>,
        /// The budget in eps_unit, before any normalisation.
        eps: Option<f64>,
        /// The unit of eps: the data's own, or tokens.
        eps_unit: Option<Text>,
        /// Steps that a lane may take.
        steps: Option<u64>,
        /// Step size in eps_unit.
        step_size: Option<f64>,
        /// How often the attack starts anew; 1 is a single run.
        restarts: Option<u64>,
        /// Whether an attack starts at a random point of the budget.
        random_start: Option<bool>,
        /// The loss that the attack climbs.
        loss: Option<Text>,
        /// When a lane ends: success (at its first success) or steps (when its steps are done).
        stop: Option<Text>,
        /// The seed; null where nothing in the configuration is random.
        seed: Option<u64>,
        /// The complete configuration, as JSON.
        params: Text,
        /// Samples evaluated.
        n: u64,
        /// Samples attacked: right when clean; to hide or at a target, those of other classes whose clean answer is not the target already.
        n_attacked: u64,
        /// Attacked samples on which the attack reached its aim, by the second, f32 forward pass.
        n_success: u64,
        /// Samples wrong when clean and right under attack; never credited to robust_accuracy.
        n_recovered: u64,
        /// Groups among the samples; null where none is declared and samples are taken as independent.
        n_groups: Option<u64>,
        /// Share of samples that are right when clean.
        clean_accuracy: Option<f64>,
        /// Share of samples that are right under attack, recovered ones included (what Foolbox reports).
        accuracy_adv: Option<f64>,
        /// Share of samples that are right when clean and right under attack. Null under another aim than any, where it would count samples that were
        /// never attacked: read asked_robust.
        robust_accuracy: Option<f64>,
        /// Lower end of the 95% interval of robust_accuracy.
        robust_accuracy_low: Option<f64>,
        /// Upper end of the 95% interval of robust_accuracy.
        robust_accuracy_high: Option<f64>,
        /// How the intervals were made: wilson, or wilson-groups (over the effective number of samples, since those of a group are alike).
        ci_method: Option<Text>,
        /// n_success / n_attacked; null where nothing was attacked.
        attack_success_rate: Option<f64>,
        /// What the aim asks: robust accuracy (any), sensitivity or specificity under attack (hide, raise), share not made CLASS (target). Tables and
        /// pictures show this.
        asked: Option<Text>,
        /// Samples that the aim concerns, right when clean or not: all (any), those of other classes than 0 (hide), of class 0 (raise), of other
        /// classes than the target.
        n_concerned: Option<u64>,
        /// Share of these that are right when clean, to hide and at a target of those whose clean answer is another than class 0 or the target, the
        /// true one or not; null where there are none.
        asked_clean: Option<f64>,
        /// Share of these of which that is so and on which the attack did not reach its aim; null where there are none.
        asked_robust: Option<f64>,
        /// Lower end of the 95% interval of asked_robust.
        asked_robust_low: Option<f64>,
        /// Upper end of the 95% interval of asked_robust.
        asked_robust_high: Option<f64>,
        /// Probability at which a binary or multi-label head says yes; null where the largest score decides.
        threshold: Option<f64>,
        /// Median l2 norm over attacked samples, an unbroken one counting as infinite; null where nothing was attacked.
        median_l2: Option<f64>,
        /// Median linf norm over attacked samples, an unbroken one counting as infinite; null where nothing was attacked.
        median_linf: Option<f64>,
        /// Mean forward passes a sample, as if the cell had run alone, the re-check not counted.
        forward_calls: Option<f64>,
        /// Mean gradients a sample, as if the cell had run alone.
        gradient_calls: Option<f64>,
        /// Share of the gradient's entries that were exactly zero.
        zero_gradient_share: Option<f64>,
        /// Sanity checks that fired.
        flags: Vec<Text>,
        /// Arithmetic of the search: f32, f16, ...; success is always judged in f32.
        precision: Text,
        /// The device that ran the cell.
        device: Text,
        /// Version of percuss.
        version: Text,
        /// Device time in seconds that this cell caused, shared launches divided among their cells.
        device_seconds_attributed: f64,
        /// How the ladder of budgets was answered: grid (every budget was run), or bisect (each sample's smallest breaking budget was
        /// searched: what broke it counts at every larger budget, and that what withstands a budget withstands smaller ones is assumed).
        curve: Option<Text>,
        /// Samples that were not run at this budget: their answer follows from other budgets (curve = bisect).
        n_inferred: u64,
        /// The inputs that move, where the model has several: the one that eps is for, and each other with its norm and budget
        /// (`image; text tokens 2`).
        inputs: Option<Text>,
    }
}

table! {
    /// One further number of a cell, over all of its samples or over one class or subgroup.
    MetricRow = "metrics" {
        /// The cell.
        cell_id: Text,
        /// Name of the metric: auroc, brier, ece, sensitivity, robust_accuracy (aim any), asked_robust (other aims), ...
        metric: Text,
        /// Over which samples: all, class:k, column=value of a subgroup, or the one patient that is aimed at; or at what: amplitude=a of a
        /// trigger, fpr=r of a curve.
        scope: Text,
        /// The metric on clean inputs, of a poisoned model the unpoisoned twin's; null where it is undefined there.
        value_clean: Option<f64>,
        /// The metric under attack; null where it is undefined or would flatter (scores with stop = success).
        value: Option<f64>,
        /// Lower end of the 95% interval of value.
        low: Option<f64>,
        /// Upper end of the 95% interval of value.
        high: Option<f64>,
        /// Samples that the metric is over.
        n: u64,
        /// Groups among those samples; null where none is declared.
        n_groups: Option<u64>,
        /// How value or its interval was made; "few-groups" where the interval rests on fewer than ten groups.
        method: Option<Text>,
    }
}

table! {
    /// One sample under one cell.
    SampleRow = "samples" {
        /// The cell.
        cell_id: Text,
        /// The sample's number in its source (row, record, position in the file), from 0: whoever has the source finds the sample by it.
        sample: u64,
        /// The patient or record that the sample came from, as a number drawn at random in this results folder; null where none is declared.
        group: Option<Text>,
        /// The true class (multi-label: 1 where the finding is present).
        label: u32,
        /// The class that the model says of the clean input.
        clean_pred: u32,
        /// The class that the model says of the stored adversarial input, by the second, f32 forward pass; 4294967295 where a logit is NaN.
        adv_pred: u32,
        /// Scores of the clean input, a probability a class (one alone for a single-logit head).
        scores_clean: Arc<[f32]>,
        /// Scores of the adversarial input.
        scores_adv: Vec<f32>,
        /// Whether the attack reached its aim; null where the sample was not attacked.
        success: Option<bool>,
        /// Right when clean and right under attack.
        robust: bool,
        /// How many values changed, of several inputs in the one that the budget is for; so the norms below.
        l0: u64,
        /// l1 norm of the change, in eps_unit.
        l1: f64,
        /// l2 norm of the change, in eps_unit.
        l2: f64,
        /// linf norm of the change, in eps_unit.
        linf: f64,
        /// Steps taken.
        steps_used: u64,
        /// Forward passes, as if the cell had run alone, the re-check not counted.
        forward_calls: u64,
        /// Clean margin of the true answer in logits; positive where right.
        margin_clean: f64,
        /// Margin of the true answer under attack; positive where right.
        margin_adv: f64,
        /// Not run at this budget (curve = bisect): the change that broke the sample at the smallest breaking budget, or, below that, none.
        inferred: bool,
    }
}

table! {
    /// The worst case per sample over all attacks and seeds at one budget; the minimum over cells is not that.
    CurveRow = "curves" {
        /// Name of the study.
        study: Text,
        /// The model's id in the study.
        model: Text,
        /// SHA-256 of the model.
        model_sha256: Text,
        /// The data set's id in the study.
        data: Text,
        /// SHA-256 of the data set.
        data_sha256: Text,
        /// Which split of the data.
        split: Text,
        /// SHA-256 of the identities of the samples.
        sample_set_sha256: Text,
        /// Whether the data were made by a generator.
        synthetic: bool,
        /// The defense's id in the study.
        defense: Text,
        /// What counts as success.
        aim: Option<Text>,
        /// The wanted class, where aim is target.
        target: Option<u32>,
        /// The finding of a multi-label model.
        finding: Option<Text>,
        /// The inputs that move, where the model has several.
        inputs: Option<Text>,
        /// The norm of the budget.
        norm: Text,
        /// The budget in eps_unit.
        eps: f64,
        /// The unit of eps.
        eps_unit: Option<Text>,
        /// Samples that every one of the cells evaluated.
        n: u64,
        /// Groups among the samples; null where none is declared.
        n_groups: Option<u64>,
        /// Cells (attacks by seeds by hyper-parameters) that the worst case is over.
        n_cells: u64,
        /// How many of these cells were bisected and not run at every budget: see cells.curve.
        n_bisected: u64,
        /// Share of samples that are right when clean.
        clean_accuracy: Option<f64>,
        /// Share of samples that are right when clean and right under every attack. Null under another aim than any, where it would count samples that
        /// were never attacked: read asked_robust.
        robust_accuracy: Option<f64>,
        /// Lower end of the 95% interval of robust_accuracy.
        robust_accuracy_low: Option<f64>,
        /// Upper end of the 95% interval of robust_accuracy.
        robust_accuracy_high: Option<f64>,
        /// How the intervals were made: wilson, or wilson-groups (over the effective number of samples, since those of a group are alike).
        ci_method: Option<Text>,
        /// What the aim asks, see cells.asked.
        asked: Option<Text>,
        /// Samples that the aim concerns.
        n_concerned: Option<u64>,
        /// As cells.asked_clean.
        asked_clean: Option<f64>,
        /// Share of these of which that is so and on which no attack reached its aim; null where there are none.
        asked_robust: Option<f64>,
        /// Lower end of the 95% interval of asked_robust.
        asked_robust_low: Option<f64>,
        /// Upper end of the 95% interval of asked_robust.
        asked_robust_high: Option<f64>,
        /// The attack that broke the most samples with the smallest change; null where none was broken.
        worst_attack: Option<Text>,
        /// The attacks, by name.
        attacks: Vec<Text>,
        /// For each of attacks, how many samples it broke with a smaller change than all others.
        attack_broke: Vec<u64>,
        /// The samples, ascending.
        samples: Vec<u64>,
        /// For each of samples, whether its clean answer was as cells.asked_clean counts and no attack reached its aim (under any: right under every attack). Samples that the
        /// aim does not concern are never attacked.
        robust: Vec<bool>,
        /// For each of samples, the attack that broke it with the smallest change (ties by name); null where none did.
        broken_by: Vec<Option<Text>>,
        /// Sanity checks that fired for any of these cells, and few-groups, by name.
        flags: Vec<Text>,
    }
}

table! {
    /// One metric of one configuration of a threat that trains models, over its seeds.
    SeedRow = "seeds" {
        /// Name of the study.
        study: Text,
        /// The recipe's id in the study.
        model: Text,
        /// SHA-256 of the recipe and its training data.
        model_sha256: Text,
        /// The data set.
        data: Text,
        /// SHA-256 of the data set.
        data_sha256: Text,
        /// Whether the data were made by a generator.
        synthetic: bool,
        /// The defense's id in the study.
        defense: Text,
        /// Kind of threat: poisoning, backdoor or privacy.
        threat: Text,
        /// The attack's name.
        attack: Text,
        /// The configuration without its seed, as JSON.
        params: Text,
        /// Names of the classes in the order of their numbers, which params has; empty where a sample has several findings.
        classes: Vec<Text>,
        /// Name of the metric.
        metric: Text,
        /// Over which samples: all, class:k, or column=value of a subgroup.
        scope: Text,
        /// Seeds that the metric is defined for.
        n_seeds: u64,
        /// Mean over seeds of the unpoisoned twins' value.
        value_clean: Option<f64>,
        /// Mean over seeds of the value.
        value: Option<f64>,
        /// Lower end of the 95% interval of value over seeds (Student's t).
        low: Option<f64>,
        /// Upper end of the 95% interval of value over seeds.
        high: Option<f64>,
        /// Mean over seeds of the difference from the twin of the same seed.
        difference: Option<f64>,
        /// Lower end of the 95% interval of difference over seeds.
        difference_low: Option<f64>,
        /// Upper end of the 95% interval of difference over seeds.
        difference_high: Option<f64>,
    }
}

table! {
    /// One invocation of percuss that wrote to the folder.
    RunRow = "runs" {
        /// Name of the study.
        study: Text,
        /// SHA-256 of the study as study.resolved.toml has it.
        study_sha256: Text,
        /// The command line, paths cut to their last part.
        command: Text,
        /// When it started, RFC 3339 in UTC.
        started: Text,
        /// Wall time in seconds.
        wall_seconds: f64,
        /// How it ended: done, interrupted or failed.
        outcome: Text,
        /// The shard, 1 to shards.
        shard: u32,
        /// The number of shards.
        shards: u32,
        /// Cells that it finished.
        cells_done: u64,
        /// Cells that it found finished.
        cells_found: u64,
        /// The device.
        device: Text,
        /// The device's driver and its version.
        driver: Option<Text>,
        /// Version of percuss.
        version: Text,
        /// Versions of what else decides the numbers, as JSON.
        versions: Text,
        /// What the tuner chose, as JSON; null where it did not run.
        tuning: Option<Text>,
        /// Operating system and architecture.
        platform: Option<Text>,
        /// CPU threads.
        threads: u64,
    }
}
