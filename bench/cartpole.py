"""REINFORCE of the tutorial notebook on Gymnasium and PyTorch. Prints the environment steps and seconds of CPU time as JSON."""
import argparse
import json
import time

import gymnasium
import torch
from torch.distributions.categorical import Categorical

parser = argparse.ArgumentParser()
parser.add_argument("--envs", type=int, default=1)
parser.add_argument("--steps", type=float, default=10_000)
options = parser.parse_args()

torch.manual_seed(1)
torch.set_num_threads(1)
policy = torch.nn.Sequential(torch.nn.Linear(4, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)


def advantages(length):
    returns, total = [], 0.0
    for _ in range(length):
        total = 1 + 0.99 * total
        returns.append(total)
    returns = torch.tensor(returns[::-1])
    return (returns - returns.mean()) / (returns.std() + 1e-9)


def update(terms):
    loss = torch.stack(terms).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def act(states):
    chosen = Categorical(torch.softmax(policy(torch.from_numpy(states).float()), dim=1))
    actions = chosen.sample()
    return actions, chosen.log_prob(actions)


def single():
    env = gymnasium.make("CartPole-v1")
    steps = 0
    while steps < options.steps:
        state, _ = env.reset()
        logps, over = [], False
        while not over:
            action, logp = act(state[None])
            state, _, terminated, truncated, _ = env.step(action.item())
            over = terminated or truncated
            logps.append(logp[0])
        steps += len(logps)
        update([-(torch.stack(logps) * advantages(len(logps))).sum()])
    return steps


def vectorised():
    """One update per episode of each environment. Steps that an environment runs after its episode ended are not counted."""
    envs = gymnasium.make_vec("CartPole-v1", num_envs=options.envs, vectorization_mode="vector_entry_point")
    steps = 0
    while steps < options.steps:
        state, _ = envs.reset()
        logps, lengths, t = [], [0] * options.envs, 0
        while not all(lengths):
            actions, logp = act(state)
            state, _, terminated, truncated, _ = envs.step(actions.numpy())
            logps.append(logp)
            t += 1
            for i in range(options.envs):
                if not lengths[i] and (terminated[i] or truncated[i]):
                    lengths[i] = t
        steps += sum(lengths)
        together = torch.stack(logps)
        update([-(together[:n, i] * advantages(n)).sum() for i, n in enumerate(lengths)])
    return steps


began = time.process_time()
made = single() if options.envs == 1 else vectorised()
print(json.dumps({"steps": made, "seconds": time.process_time() - began}))
