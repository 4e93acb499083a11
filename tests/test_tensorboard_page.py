"""What TensorBoard's page shows of a training and of a simulation, in a browser, while they go on."""

import sys
import time

import pytest
import torch
from browser import browser, free_port, served, wait
from restarts import make

import torchmag as tm
from torchmag.loggers import Summary, summarize

# name -> [kind of card, its text, a picture's pixels or how many curves a histogram has]; a closed group has no cards.
CARDS = """
document.querySelectorAll('button.group-toolbar').forEach(
  b => { if (b.querySelector('[svgicon=expand_more_24px]')) b.click() });
return Object.fromEntries(Array.from(document.querySelectorAll('scalar-card, image-card, histogram-card')).map(card => {
  const lines = card.innerText.split('\\n');
  const name = lines[0] + (lines[1] && lines[1][0] == '/' ? lines[1] : '');
  const img = card.querySelector('img');
  let shown = card.querySelectorAll('path').length;
  if (img) {
    const canvas = document.createElement('canvas');
    canvas.width = img.naturalWidth; canvas.height = img.naturalHeight;
    if (img.naturalWidth) {
      canvas.getContext('2d').drawImage(img, 0, 0);
      shown = [img.naturalWidth, img.naturalHeight, canvas.toDataURL()];
    } else shown = [0, 0, ''];
  }
  return [name, [card.tagName.split('-')[0].toLowerCase(), card.innerText, shown]];
}));
"""
RELOAD = "document.querySelector('app-header-reload button, button.reload-button').click()"
MAP = "energy.uniaxial_anisotropy.Ku"


def training(folder):
    """Steps of a training that turns a map of anisotropy; each call makes one."""
    llg, m = make()
    mesh, film = llg.mesh, llg.magnet
    Ku = torch.nn.Parameter(1e4 + 1e3 * torch.rand(mesh.cells, generator=torch.Generator().manual_seed(1)))
    module = tm.LLG(tm.Exchange(film, tm.Positive(1.3e-11)) + tm.UniaxialAnisotropy(film, Ku, (0, 0, 1)), alpha=0.1)
    m = tm.random(mesh, seed=2) + tm.uniform(mesh, (0, 0, 1))
    m = m / m.norm(dim=0)
    start = module.energy.energy(m).detach()
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(folder))

    def step(number):
        module.zero_grad()
        loss = (module.energy.energy(m) / start) ** 2
        loss.backward()
        summarize(writer, number, module, m=torch.roll(m, number, 1), mesh=mesh, loss=loss)
        writer.flush()
        with torch.no_grad():
            Ku.sub_(2e3 * Ku.grad / Ku.grad.abs().max())

    return step, writer


def simulation(folder):
    llg, m0 = make()
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(folder))
    sim = tm.Simulation(llg, m0, quantities={"m": lambda m: tm.average(m, llg.magnet), "E": llg.energy.energy})
    sim.log(Summary(writer, llg.mesh, units={"E": (1e-18, "aJ")}), every=1e-12)
    return sim


@pytest.mark.slow
def test_the_page_of_a_training_and_a_simulation(tmp_path):
    pytest.importorskip("tensorboard")
    with browser(tmp_path / "profile", (1500, 4500)) as page:
        step, writer = training(tmp_path / "logs" / "training")
        sim = simulation(tmp_path / "logs" / "simulation")
        for number in range(3):
            step(number)
        sim.run(3e-12)
        sim.close()
        address = f"http://127.0.0.1:{(port := free_port())}"
        options = ["--logdir", str(tmp_path / "logs"), "--host", "127.0.0.1", "--port", str(port), "--reload_interval", "1"]
        with served([sys.executable, "-m", "tensorboard.main", *options], address):
            page.open(f"{address}/#timeseries")
            before = wait(lambda: complete(page.run(CARDS), 2), 90, "the cards")
            for number in range(3, 6):
                step(number)
            after = wait(lambda: page.run(RELOAD) or time.sleep(1) or complete(page.run(CARDS), 5), 90, "the new steps")
            page.screenshot(tmp_path / "page.png")
        writer.close()
    kinds = {name: card[0] for name, card in after.items()}
    assert kinds == {
        "loss": "scalar",
        "parameter/energy.exchange.A.raw": "scalar",
        "gradient/energy.exchange.A.raw": "scalar",
        "gradient_norm/energy.exchange.A.raw": "scalar",
        f"gradient_norm/{MAP}": "scalar",
        f"parameter/{MAP}": "histogram",
        f"gradient/{MAP}": "histogram",
        "pictures/m": "image",
        f"pictures/parameter/{MAP}": "image",
        f"pictures/gradient/{MAP}": "image",
        **{f"quantities/{name}": "scalar" for name in ("t_ns", "mx", "my", "mz", "E_aJ")},
    }
    for name in ("pictures/m", f"pictures/parameter/{MAP}"):
        width, height, _ = after[name][2]
        assert width >= 384 and height >= 72
        assert before[name][2] != after[name][2]
    for name in (f"parameter/{MAP}", f"gradient/{MAP}"):
        assert after[name][2] > before[name][2] > 0
    # Numbers that are read, none of them a zero of four decimals.
    for name in ("loss", "quantities/E_aJ", "quantities/t_ns", "quantities/mx"):
        value = after[name][1].split("\n\t\n")[-3]
        assert float(value.replace("−", "-").replace(",", "")) != 0, name


def complete(cards, step):
    """The cards, once all are drawn and the training's are at a step."""
    texts = {name: card[1] for name, card in cards.items()}
    drawn = all(card[2][0] > 0 for card in cards.values() if card[0] == "image")
    at = f"Step {step}" in texts.get(f"pictures/parameter/{MAP}", "") and f"\t\n{step}\n" in texts.get("loss", "")
    return cards if len(cards) == 15 and drawn and at and "quantities/mx" in cards else None
