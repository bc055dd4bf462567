import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { parseConfig } from '../models/config.ts'
import { inverseFrequencies, ropeTables } from './rope.ts'

type Case = { config: { rope_parameters: { rope_type: string } }; frequencies: number[]; scale: number }
const cases: Case[] = JSON.parse(await readFile(fixture('models/ropes.json'), 'utf8'))

describe('rescaled rotations equal transformers', () => {
  it.each(cases.map((each, i) => [each.config.rope_parameters.rope_type, i] as const))('%s (case %i)', (type, i) => {
    const { config: raw, frequencies, scale } = cases[i]
    const { rope } = parseConfig(raw, 'config.json')
    const parameters = rope!['']
    expect(parameters.rope_type).toBe(type)
    const rotary = 2 * frequencies.length
    const made = inverseFrequencies(parameters, rotary)
    for (const [pair, frequency] of frequencies.entries()) expect(made[pair] / frequency - 1).toBeCloseTo(0, 5)
    const { cos, sin } = ropeTables(parameters, rotary, 3)
    expect(cos[0]).toBeCloseTo(scale, 6)
    expect(sin[rotary]).toBeCloseTo(scale * Math.sin(2 * frequencies[0]), 5)
  })

  it('has every type', () => {
    const found = new Set(cases.map(({ config }) => config.rope_parameters.rope_type))
    expect([...found].sort()).toEqual(['dynamic', 'linear', 'llama3', 'longrope', 'yarn'])
  })
})
