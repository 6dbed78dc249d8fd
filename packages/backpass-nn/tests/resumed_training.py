"""A training of a small network on the digits, to be killed and run again until it has ended.

    python resumed_training.py FOLDER

Checkpoints go to FOLDER every few steps. Lines say what has happened or is about to happen:
"began 12", "step 13", "saving 14", "saved 14"; and at the end "done 90".
"""

import sys

import numpy

import backpass.numpy as np
from backpass import nn
from backpass.scipy.special import log_softmax

STEPS, INTERVAL = 90, 4


class Network(nn.Module):
    def __init__(self):
        self.hidden = nn.Linear(64, 200)
        self.output = nn.Linear(200, 10)
        self.batches = nn.Buffer(0)

    def forward(self, x):
        self.batches.value = self.batches.value + 1
        y = nn.functional.relu(self.hidden(x))
        return self.output(nn.functional.dropout(y, 0.2))


def main(folder):
    nn.seed(0)
    images, labels = nn.datasets.load_digits()
    data = nn.data.ArrayDataset(
        images.reshape(len(images), -1) / numpy.float32(16), numpy.eye(10, dtype="f4")[labels]
    )
    loader = nn.data.DataLoader(data, batch_size=256, shuffle=True, workers=1)
    model = Network()
    plateau = nn.optimizers.schedules.Plateau(0.01, patience=10)
    optimizer = nn.optimizers.Adam(model, learning_rate=plateau)
    parts = {"model": model, "optimizer": optimizer, "loader": loader}
    checkpoints = nn.Checkpoints(folder, keep=2)
    found = checkpoints.load_latest(**parts)
    step = found.step if found else 0
    print("began", step, flush=True)
    while step < STEPS:
        for x, y in loader:
            loss = -np.mean(np.sum(log_softmax(model(x), axis=1) * y, axis=1))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            plateau.observe(loss.value)
            step += 1
            print("step", step, flush=True)
            if step % INTERVAL == 0 or step == STEPS:
                print("saving", step, flush=True)
                checkpoints.save(step=step, loss=loss, **parts)
                print("saved", step, flush=True)
            if step == STEPS:
                break
    print("done", step, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
