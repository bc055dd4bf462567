/**
 * Benchmarks REINFORCE on CartPole against Gymnasium with PyTorch, with one environment and with 16 in parallel.
 * The unit is environment steps per second of CPU time, training and compilation included. CPU time, since both sides run on
 * one thread and wall time would include other load. The peer runs fewer steps, because it is slow.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const ended = ({ status, stdout, stderr }) => {
  if (status !== 0) throw new Error(stderr.toString().slice(-2000))
  return JSON.parse(stdout.toString())
}
const rate = ({ steps, seconds }) => steps / seconds

const own = (envs) => rate(ended(spawnSync(process.execPath, [fileURLToPath(import.meta.url), String(envs)])))
const peer = (python, envs, steps) =>
  rate(ended(spawnSync(python, [join(here, 'cartpole.py'), '--envs', String(envs), '--steps', String(steps)])))

const hasGymnasium = (python) => spawnSync(python, ['-c', 'import gymnasium, torch']).status === 0

/** Runs attune and the peer in alternation and prints the medians of the rounds. */
export const benchCartpole = (python, quick) => {
  const withPeer = Boolean(python) && hasGymnasium(python)
  if (python && !withPeer) console.log(`cartpole: ${python} has no gymnasium (pip install gymnasium); attune alone`)
  const cases = [1, 16].map((envs) => ({ envs, own: [], peer: [] }))
  for (let round = 0; round < (quick ? 1 : 3); round++)
    for (const side of cases) {
      side.own.push(own(side.envs))
      if (withPeer) side.peer.push(peer(python, side.envs, (quick ? 3000 : 10_000) * Math.sqrt(side.envs)))
    }
  const single = withPeer ? median(cases[0].peer) : undefined
  const shown = (x) => (x === undefined ? '-' : Math.round(x).toLocaleString('en-US'))
  const times = (a, b) => (b === undefined ? '-' : (a / b).toFixed(1))
  console.log('| CartPole, REINFORCE, steps a second of CPU | attune | Gymnasium + PyTorch | ratio | ratio to its single environment |')
  console.log('| --- | --- | --- | --- | --- |')
  for (const { envs, own, peer } of cases) {
    const [a, b] = [median(own), peer.length ? median(peer) : undefined]
    console.log(`| ${envs === 1 ? '1 environment' : `${envs} environments`} | ${shown(a)} | ${shown(b)} | ${times(a, b)} | ${times(a, single)} |`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { reinforce } = await import('../dist/labs/cartpole/reinforce.js')
  const envs = Number(process.argv[2])
  const began = process.cpuUsage()
  let steps = 0
  for (const update of reinforce({ seed: 1, envs, episodes: envs === 1 ? 1000 : 2000 })) steps += update.steps
  console.log(JSON.stringify({ steps, seconds: (({ user, system }) => (user + system) / 1e6)(process.cpuUsage(began)) }))
}
