"""Grids: their runs, and that what was registered has not moved."""

import pytest

from contrastlib.reproduction import grids
from contrastlib.reproduction.claims import TAUS
from contrastlib.reproduction.paper_table import COLUMNS
from contrastlib.training.recipes import paper, run_id, small

REGISTERED = {  # run ids, seed by seed, as they were on the day of the registration
    "scaled-lr": """
        301a1daf53ed 8a8fbfee8fc2 b38feb516c7f 56fa7d6312ea e3a9f2b64697 1ffb11f55ac3
        1b1f84bd7e89 4a91c3022a56 5dcd5a0f0e82
    """,
    "batch-norm": """
        fbbe3f2f5465 28c40bd74ec6 6909561604ef
    """,
    "desk": """
        ff907e72b5c4 3c87b4a1f1ff 9179d949c773 8148d62c140a 2c55ff9d8437 42183743a066
        379d1e5a3d19 810b394f6c8e c9daa2708867 dbb4f504ed0c c9d6896c41d8 4eeac7ca35a7
        b7a7ce7d70db 317703660888 51c3cd261e18 8b920fced3c5 074ca94f26e0 71fdef2d0455
        746d363785fc 47966ea171e9 8a922cfee293 ed1af4079b4b 35991df9836e 066c34d28eeb
        521506a067a3 5cea4d1006e6 69279d0e628e 8bb62fc331b2 efb6b74fddb2 ad7067726493
        194965590978 91858d133555 9d2a30d3e1d4 1c851ef1017a 93f5ca3522a3 41aaf113f6b6
        87eee81aa14e 23ba7c7d2320 516cd4e6f6e1 960ae0ce522f 14167825aa6d c7f6407e153e
        eb5f8c8266ff c860fc4aa53b 3e259ccc9694 2ff6ef160d10 7a7258f86e9b 7aee3ab2022e
    """,
    "width-32": """
        cd1e407a1a19 eb88890cf4f4 3323e0d7102e c04626431691 3876b06098c5 734045f8afeb
        9f9b35be2b25 4a092016eeb3 748e019e957a aa07d5d9d5bc 7102afc85d59 bf306364dc3a
    """,
    "whole-batch": """
        0ad0a55fa88b ea5aa232de35 3119b3c4be74 49ff12d8cb69 afacf0974396 6c059839a777
        c79579627b44 37788d2efe04 6d9c504977b8 74a11b89709b 2b2def6000d8 34dfc6027dd3
        4e98770946c7 4a505a62d4d7 84e7e0aa7f50 c09b37092627 b17a0e0bb32e 215efa7a0f35
    """,
    "width-64": """
        ab2b07c91d52 8388ff712da6 a3c2e4189adf ef81c1f12f32 1d5c38fe2f4d bcc93a4dbb29
        418197e607d1 8e9dc553b3ad d4ce774f4c50 1a4897216e17 4a75b36e32a4 a8ed7748d04d
    """,
    "paper-probe": """
        e2808700ff22 d32873c0cac4 80ada6dcf81d d9e4c95c0375 cd120cf76947 dd525b38244f
        4205a0ba7a74 a623fffba032 d7e7aeb4a195 2001bb3b160c 6d115024881e 6cf566fc1e05
    """,
    "all-images": """
        5cd71ceda771 0d929f05f638 5b90dcb4026f 64bc361bba94 15b0e78d7e77 92abf366831f
        125ed1777229 100119e87120 c30b5ab096d4 d73282a2b5af 79fb00bc6766 aad00866cdac
    """,
    "oracle": """
        266eb1357dd8 f532c5de344c 904f405fdaf2 aef4cde3015a aa457ea0059a e9e346f918ef c10b1213ec5b
        8a2cb4aaee0d e27aa80635a8 3fcf94f7ab61 3426ba74c2e4 a75b70477502 19784977fd60 cb1b1171aaec
        1ca643b57552 647e94b1bc11 f97619a6afbd 1d8941ceac57 6bbf027bd688 38227d8ee7bb b882b43b0f58
    """,
}


@pytest.mark.parametrize("name", REGISTERED)
def test_the_registered_runs_have_not_moved(name):
    assert [run_id(recipe) for recipe in grids.grid(name)] == REGISTERED[name].split()


def test_the_registered_grids_take_a_data_set_and_nothing_else():
    assert REGISTERED.keys() == {*grids.REGISTERED, "oracle"}
    runs = grids.grid("desk", settings=["dataset=cifar100"], seeds=[0])
    assert {run.dataset for run in runs} == {"cifar100"}
    for options in ({"settings": ["lr=0.1"]}, {"recipe": "paper"}):
        with pytest.raises(ValueError, match="it takes a data set, but no recipe or setting"):
            grids.grid("desk", **options)


def test_grids():
    assert len(grids.grid("table1")) == 36
    assert len(grids.grid("all", "paper", ["dataset=svhn"], seeds=[0])) == 23
    for name in grids.NAMES:
        ids = [run_id(recipe) for recipe in grids.grid(name)]
        assert len(set(ids)) == len(ids)
    assert not {recipe.seed for recipe in grids.grid("pilot")} & set(grids.SEEDS)
    assert {recipe.tau for recipe in grids.grid("pilot")} == {0.2}
    with pytest.raises(ValueError, match="it takes no other recipe"):
        grids.grid("pilot", settings=["tau=0.1"])
    with pytest.raises(ValueError, match="the grids are: table1"):
        grids.grid("table2")


def test_hard_simple_keeps_the_papers_number_on_all_images():
    assert grids.cell(paper("svhn"), "hard_simple").k == 4095
    assert grids.cell(paper("svhn"), "hard", 0.3).alpha == 0.0315
    assert grids.cell(small(), "hard_simple").alpha == 0.0819
    assert tuple(tau for loss, tau in COLUMNS if loss == "hard") == TAUS
