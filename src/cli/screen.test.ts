import { afterEach, describe, expect, it, vi } from 'vitest'
import { makeScreen, onBackground, painter, safeForTerminal } from './screen.ts'

const stream = (isTTY: boolean) => ({ isTTY, columns: 80, write: () => true }) as unknown as NodeJS.WriteStream

afterEach(() => vi.unstubAllEnvs())

describe('colours', () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [false, { FORCE_COLOR: '1' }, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { TERM: 'dumb' }, false],
  ])('terminal %j with %j: %j', (terminal, env, color) => {
    vi.stubEnv('NO_COLOR', '')
    vi.stubEnv('TERM', 'xterm')
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
    const screen = makeScreen(stream(terminal))
    expect(screen.color).toBe(color)
    expect(painter(screen)('bold', 'x')).toBe(color ? '\u001b[1mx\u001b[22m' : 'x')
  })

  it('stay in text for a terminal, and codes from outside become visible', () => {
    const paint = painter({ color: true })
    const own = (['bold', 'dim', 'green', 'yellow', 'cyan'] as const).map((style) => paint(style, 'x')).join('')
    expect(safeForTerminal(own + onBackground(1, 2, 3, 'x'), true)).toBe(own + onBackground(1, 2, 3, 'x'))
    expect(safeForTerminal('a\u001b[2Jb\u001b[31m', true)).toBe('a\\u001b[2Jb\\u001b[31m')
    expect(safeForTerminal(own, false)).not.toContain('\u001b')
  })
})
