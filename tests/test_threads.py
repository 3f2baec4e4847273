"""The threads of torch, BLAS and OpenMP are limited together, and set free again."""

import pytest
import threadpoolctl
import torch

from odl_learned.threads import limit_threads, thread_count


def counts():
    pools = threadpoolctl.threadpool_info()
    assert {"blas", "openmp"} <= {pool["user_api"] for pool in pools}
    return {torch.get_num_threads(), *(pool["num_threads"] for pool in pools)}


def test_all_pools_are_limited_and_set_free():
    before = counts()
    with limit_threads(3):
        assert counts() == {3} and thread_count() == 3
        with limit_threads(1):
            assert counts() == {1} and thread_count() == 1
        assert counts() == {3}
        with pytest.raises(RuntimeError, match="within"), limit_threads(2):
            assert counts() == {2}
            raise RuntimeError("within")
        assert counts() == {3}
    assert counts() == before


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None])
def test_numbers_of_threads_are_checked(count):
    with pytest.raises(ValueError, match="count is .* whole number"), limit_threads(count):
        pass
