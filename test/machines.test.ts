/** The set-ups of examples/machines: names that refer to each other, and commands that attune takes. Docker runs one where it is there. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { commands } from '../src/cli/commands.ts'
import { makeParser } from '../src/cli/flags.ts'
import { checkSettings, collectSettings } from '../src/cli/settings.ts'
import { root } from './support/project.ts'

const dir = join(root, 'examples/machines')
const read = (name: string) => readFileSync(join(dir, name), 'utf8')

/** The settings of a command line, as attune reads it. */
const settingsOf = async ([name, ...argv]: readonly string[]): Promise<Record<string, unknown>> => {
  const spec = await commands.find((command) => command.name === name)!.load(argv)
  const program = makeParser(name, spec).exitOverride()
  program.action(() => {}).parse(argv, { from: 'user' })
  const operands = Object.fromEntries((spec.operands ?? []).map((key, i) => [key, program.processedArgs[i]]))
  const given = await collectSettings(spec.schema, { ...program.opts(), ...operands })
  return checkSettings(spec.schema, given, spec.operands)
}

/** Files of the checkout that a run names. */
const filesOf = ({ model, data }: Record<string, unknown>) => [model, ...(data as string[])] as string[]

describe('the Compose file', () => {
  const { services, volumes } = parse(read('compose.yaml'), { merge: true })

  it('gives the worker and the run the same Redis, which is a service', async () => {
    expect(Object.keys(services)).toEqual(['redis', 'worker', 'run'])
    const [worker, run] = await Promise.all([services.worker, services.run].map(({ command }) => settingsOf(command)))
    expect([worker.redis, run.workers]).toEqual(['redis://redis:6379', 'redis://redis:6379'])
    for (const path of filesOf(run)) expect(existsSync(join(root, path)), path).toBe(true)
    for (const { depends_on } of [services.worker, services.run])
      expect(depends_on).toEqual({ redis: { condition: 'service_healthy' } })
    expect(services.redis.healthcheck.test).toEqual(['CMD', 'redis-cli', 'ping'])
  })

  it('keeps the run in a volume, and builds the image from this checkout', async () => {
    const [volume, path] = services.run.volumes[0].split(':')
    expect(Object.keys(volumes)).toEqual([volume])
    expect((await settingsOf(services.run.command)).output).toMatch(new RegExp(`^${path}/`))
    for (const { build, image } of [services.worker, services.run]) {
      expect(image).toBe('attune')
      expect(join(dir, build.context, build.dockerfile)).toBe(join(dir, 'Dockerfile'))
    }
  })
})

it('the image starts attune, and its folders are there', () => {
  const text = read('Dockerfile')
  expect(JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)![1])).toEqual(['node', 'bin/attune.js'])
  expect(existsSync(join(root, 'bin/attune.js'))).toBe(true)
  expect(text).toMatch(/^ENV ATTUNE_CACHE=\/cache$/m)
  expect(text).toMatch(/mkdir -p \/cache \/runs/)
})

describe('the Kubernetes manifests', () => {
  // biome-ignore lint/suspicious/noExplicitAny: manifests are looked at as they are
  const all: any[] = parseAllDocuments(read('kubernetes.yaml')).map((document) => document.toJS())
  const named = (kind: string, name: string) => all.find((each) => each.kind === kind && each.metadata.name === name)
  const pods = all.filter(({ spec }) => spec?.template).map(({ spec }) => spec)
  const containers = pods.flatMap(({ template }) => template.spec.containers)
  const argsOf = (name: string): string[] => containers.find((each) => each.name === name).args

  it('are a Redis, workers and a run', () => {
    expect(all.map(({ apiVersion, kind, metadata }) => `${apiVersion} ${kind} ${metadata.name}`)).toEqual([
      'v1 Secret attune-redis',
      'v1 Service attune-redis',
      'apps/v1 Deployment attune-redis',
      'apps/v1 Deployment attune-worker',
      'v1 PersistentVolumeClaim attune-runs',
      'batch/v1 Job attune-run',
    ])
  })

  it('reach the Redis by its Service, whose pods it selects', async () => {
    const [{ port }] = named('Service', 'attune-redis').spec.ports
    const { template } = named('Deployment', 'attune-redis').spec
    expect(template.metadata.labels).toMatchObject(named('Service', 'attune-redis').spec.selector)
    expect(template.spec.containers[0].ports).toEqual([{ containerPort: port }])
    const [worker, run] = await Promise.all([settingsOf(argsOf('worker')), settingsOf(argsOf('run'))])
    const url = `redis://:$(REDIS_PASSWORD)@attune-redis:${port}`
    expect([worker.redis, run.workers]).toEqual([url, url])
    expect(argsOf('redis').slice(-2)).toEqual(['--requirepass', '$(REDIS_PASSWORD)'])
    for (const path of filesOf(run)) expect(existsSync(join(root, path)), path).toBe(true)
    expect(run.resume).toBe(true)
  })

  it('name only labels, secrets, claims and volumes that are there', () => {
    for (const { selector, template } of pods.filter(({ selector }) => selector))
      expect(template.metadata.labels).toMatchObject(selector.matchLabels)
    for (const { template } of pods) {
      const volumes = new Map((template.spec.volumes ?? []).map((each: { name: string }) => [each.name, each]))
      for (const { env = [], args, volumeMounts = [] } of template.spec.containers) {
        for (const { name } of volumeMounts) expect(volumes.has(name), name).toBe(true)
        for (const { valueFrom } of env) {
          if (!valueFrom.secretKeyRef) continue
          const { name, key } = valueFrom.secretKeyRef
          expect(named('Secret', name).stringData).toHaveProperty(key)
        }
        const used = [...args.join(' ').matchAll(/\$\((\w+)\)/g)].map(([, name]) => name)
        const given = env.map(({ name }: { name: string }) => name)
        expect(given).toEqual(expect.arrayContaining(used))
      }
      for (const { persistentVolumeClaim } of template.spec.volumes ?? [])
        if (persistentVolumeClaim) expect(named('PersistentVolumeClaim', persistentVolumeClaim.claimName)).toBeDefined()
    }
  })
})

it('the script of network namespaces is one that bash can read', () => {
  expect(spawnSync('bash', ['-n', join(dir, 'namespaces.sh')], { encoding: 'utf8' }).stderr).toBe('')
})

const works = (...args: string[]) => spawnSync('docker', args).status === 0
const compose = ['compose', '-f', join(dir, 'compose.yaml')]

it.skipIf(!works('compose', 'version'))('Docker Compose reads its file', () => {
  const { services } = JSON.parse(
    execFileSync('docker', [...compose, 'config', '--format', 'json'], { encoding: 'utf8' }),
  )
  expect(services.worker.deploy.replicas).toBe(2)
})

it.skipIf(!works('info') || !works('compose', 'version'))('Docker runs it to its end', { timeout: 1_200_000 }, () => {
  try {
    const { status, stdout } = spawnSync('docker', [...compose, 'up', '--build', '--exit-code-from', 'run'], {
      encoding: 'utf8',
    })
    expect(status, stdout).toBe(0)
    expect(stdout).toMatch(/worker .* has joined/)
  } finally {
    spawnSync('docker', [...compose, 'down', '--volumes'])
  }
})
