/** Hosts on one machine: network namespaces with addresses of their own on one switch. Root on Linux, with `ip`. */
import { spawnSync } from 'node:child_process'

export type Hosts = {
  /** What starts a program on a host. */
  on(name: string): readonly string[]
  addressOf(name: string): string
  /** Whatever either sends the other is lost, without a word, until it is mended. */
  cut(one: string, other: string): void
  mend(one: string, other: string): void
  close(): void
}

const ip = (...args: string[]) => {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

export const canHaveHosts = (): boolean => {
  try {
    openHosts(['try']).close()
    return true
  } catch {
    return false
  }
}

/** An address of the switch where nobody is. */
const nobody = '02:00:00:00:00:01'

export const openHosts = (names: readonly string[]): Hosts => {
  const spaceOf = (name: string) => `attune-${process.pid}-${name}`
  const addressOf = (name: string) => `10.77.0.${names.indexOf(name) + 1}`
  const made: string[] = []
  const add = (space: string) => {
    ip('netns', 'add', space)
    made.push(space)
    ip('-n', space, 'link', 'set', 'lo', 'up')
  }
  const close = () => {
    for (const space of made.splice(0)) ip('netns', 'del', space)
  }
  const between = (one: string, other: string, change: (space: string, address: string) => void) => {
    change(spaceOf(one), addressOf(other))
    change(spaceOf(other), addressOf(one))
  }
  try {
    const middle = spaceOf('switch')
    add(middle)
    ip('-n', middle, 'link', 'add', 'switch', 'type', 'bridge')
    ip('-n', middle, 'link', 'set', 'switch', 'up')
    for (const [i, name] of names.entries()) {
      const space = spaceOf(name)
      add(space)
      ip('link', 'add', `port${i}`, 'netns', middle, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
      ip('-n', middle, 'link', 'set', `port${i}`, 'master', 'switch', 'up')
      ip('-n', space, 'address', 'add', `${addressOf(name)}/24`, 'dev', 'eth0')
      ip('-n', space, 'link', 'set', 'eth0', 'up')
    }
  } catch (error) {
    close()
    throw error
  }
  return {
    on: (name) => ['ip', 'netns', 'exec', spaceOf(name)],
    addressOf,
    cut: (one, other) =>
      between(one, other, (space, address) =>
        ip('-n', space, 'neigh', 'replace', address, 'lladdr', nobody, 'nud', 'permanent', 'dev', 'eth0'),
      ),
    mend: (one, other) =>
      between(one, other, (space, address) => ip('-n', space, 'neigh', 'del', address, 'dev', 'eth0')),
    close,
  }
}
