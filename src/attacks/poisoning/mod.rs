//! Poisoning: training sets that make a model worse, for everybody or for chosen patients.
