"""The sections of a job that say how features are made: what they refuse."""

import pytest

from emberharmony.features.specs import CategorySpec, CyclicalSpec, FeatureSpecs, NumberSpec


@pytest.mark.parametrize(
    "time_zone", ["Mars/Olympus", "", "America", "/etc/passwd", "../UTC", "+5:30", "+24:00", "+05:60", "05:30", "UTC+05:30"]
)
def test_unknown_time_zones(time_zone):
    with pytest.raises(ValueError, match="is not known; give one such as 'America/New_York' or '\\+05:30'"):
        CyclicalSpec(time_zone=time_zone)


@pytest.mark.parametrize("time_zone", ["+05:30", "-03:00", "+00:00", "-23:59", "Asia/Kolkata"])
def test_offsets_are_time_zones(time_zone):
    assert CyclicalSpec(time_zone=time_zone).time_zone == time_zone


def test_at_least_one_category():
    with pytest.raises(ValueError, match="max_categories is at least 1, got 0"):
        CategorySpec(0)


def test_number_of_cyclical_features():
    assert [CyclicalSpec(epoch=epoch).n_features for epoch in (False, True)] == [8, 9]


def test_what_is_scaled():
    assert not FeatureSpecs().scale_all
    assert FeatureSpecs(numbers=NumberSpec("all")).scale_all
