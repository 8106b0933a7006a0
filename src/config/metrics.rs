//! How metrics are named.

use super::key::TextForm;
use super::reader::Section;
use crate::metric::Labels;

pub(super) fn read_metric_labels(root: &mut Section<'_>) -> Labels {
    root.section("metrics", |metrics| {
        let labels = metrics.text(
            "labels",
            "envoy",
            "How labels stand in the names of metrics, for Envoy's bootstrap to find them: \
             `envoy`, for `stats_tags` as in envoy/; `istio`, for Istio's `extraStatTags`.",
        );
        metrics.declare_form(TextForm::OneOf(vec!["envoy", "istio"]));
        match labels.as_str() {
            "envoy" => Labels::Envoy,
            "istio" => Labels::Istio,
            _ => {
                metrics.refuse("labels", "must be envoy or istio".to_owned());
                Labels::Envoy
            }
        }
    })
}
