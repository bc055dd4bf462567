import { describe, expect, it } from 'vitest'
import { wilson } from '../statistics/intervals.ts'
import { html } from './html.ts'
import { lineChart, measured, smooth } from './lineChart.ts'
import { plotChart } from './plot.ts'
import { linearScale, logScale, logTicks, powerLabel } from './scales.ts'
import { shareChart } from './shareChart.ts'
import { standalone } from './svg.ts'

describe('a plot for the width of a phone', () => {
  const names = ['REINFORCE', 'a method with a name of many letters']
  const plot = {
    title: 't',
    x: { name: 'steps of the environment', log: true },
    y: { name: 'reward' },
    series: names.map((name, color) => ({ name, color, points: [1, 20, 30_000].map((x) => [x, x * color] as const) })),
  }
  const texts = (drawing: string) =>
    [...drawing.matchAll(/<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</g)].map(([, x, y, text]) => ({
      x: Number(x),
      y: Number(y),
      text,
    }))

  it('holds every text, with the names of the curves below, a line each', () => {
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(plotChart(plot, true))!.map(Number)
    expect(width).toBe(380)
    const all = texts(plotChart(plot, true))
    for (const { x, y } of all) expect(x <= width && y < height).toBe(true)
    const [first, second] = names.map((name) => all.find(({ text }) => text === name)!)
    expect(second.y - first.y).toBe(15)
    expect(first.x).toBe(second.x)
    expect(first.y).toBeGreaterThan(all.find(({ text }) => text === plot.x.name)!.y)
  })

  it('holds the whole label at the end of its axis', () => {
    const ended = {
      ...plot,
      x: { name: 'episode' },
      series: [{ color: 0, points: [[0, 0] as const, [1000, 1] as const] }],
    }
    const label = texts(plotChart(ended, true)).find(({ text }) => text === '1,000')!
    // Its middle stands at the end of the axis; a digit is some 7 units wide
    expect(label.x + (7 * label.text.length) / 2).toBeLessThanOrEqual(380)
  })

  it('leaves out labels of the axis that would touch', () => {
    const ticks = texts(plotChart({ ...plot, x: { name: 'x', log: true } }, true)).filter(({ y }) => y === 318)
    for (const [i, { x }] of ticks.entries()) if (i) expect(x - ticks[i - 1].x).toBeGreaterThan(20)
    expect(ticks.length).toBeGreaterThan(2)
  })
})

describe('a linear scale', () => {
  it.each<[number, number, number[]]>([
    [0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [0.7, 1.79, [0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8]],
    [-0.013, 0.12, [-0.05, 0, 0.05, 0.1, 0.15]],
    [1, 400, [0, 100, 200, 300, 400]],
    [3, 3, [3, 4, 5, 6]],
    [0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]],
  ])('from %f to %f covers both with round ticks', (low, high, expected) => {
    const { at, ticks } = linearScale([high, Number.NaN, low, Number.POSITIVE_INFINITY], 10, 110)
    expect(ticks.map(({ value }) => value)).toEqual(expected)
    expect([at(expected[0]), at(expected.at(-1)!)]).toEqual([10, 110])
  })

  it('labels numbers in full, without zeros at the end, and small ones by their power of ten', () => {
    const labels = (values: number[]) => linearScale(values, 0, 1).ticks.map(({ label }) => label)
    expect(labels([0, 4000])).toEqual(['0', '1,000', '2,000', '3,000', '4,000'])
    expect(labels([-0.1, 0.1])).toEqual(['−0.1', '−0.05', '0', '0.05', '0.1'])
    expect(labels([0, 0.0001])).toEqual(['0', '2e-5', '4e-5', '6e-5', '8e-5', '1e-4'])
    expect(labels([])).toEqual(['0', '0.2', '0.4', '0.6', '0.8', '1'])
  })
})

describe('a logarithmic scale', () => {
  it('puts equal factors at equal distances, and shows positive numbers only', () => {
    const { at, shows } = logScale([1, 0, -5, 100, Number.NaN], 0, 200)
    expect([1, 10, 100].map(at)).toEqual([0, 100, 200])
    expect([1, 0, -1, Number.NaN, Number.POSITIVE_INFINITY].map(shows)).toEqual([true, false, false, false, false])
  })

  it('has ticks at powers of ten, at 2 and 5 times those where there is room, and at round values in a short range', () => {
    expect(logTicks(0.03, 4)).toEqual([0.05, 0.1, 0.2, 0.5, 1, 2])
    expect(logTicks(1e6, 1e12)).toEqual([1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12])
    expect(logTicks(1, 1e20)).toEqual([1, 1e5, 1e10, 1e15, 1e20])
    expect(logTicks(3e9, 4e9)).toEqual([3e9, 3.2e9, 3.4e9, 3.6e9, 3.8e9, 4e9])
    expect([0.05, 20, 1e9, 2e12, 1e-5].map(powerLabel)).toEqual(['0.05', '20', '10⁹', '2×10¹²', '10⁻⁵'])
  })
})

describe('a line chart', () => {
  const chart = {
    title: 'a < b & "c"',
    x: 'step',
    y: 'nats',
    series: [
      {
        name: 's',
        points: [
          [0, 0],
          [5, 10],
          [10, 5],
        ] as const,
      },
    ],
  }
  const paths = (svg: string) => [...svg.matchAll(/<path class="curve[^"]*" d="([^"]*)"/g)].map(([, d]) => d)
  const labels = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text)

  it('puts values where the axes say they are', () => {
    // x: 44 to 384 for 0 to 10; y: 196 up to 34 for 0 to 10
    expect(paths(lineChart(chart))).toEqual(['M44,196L214,34L384,115'])
    expect(labels(lineChart(chart))).toEqual([
      '0',
      '2',
      '4',
      '6',
      '8',
      '10',
      '0',
      '2',
      '4',
      '6',
      '8',
      '10',
      'nats',
      'step',
    ])
  })

  it('shows guides, a given range, and names of more than one curve', () => {
    const svg = lineChart({
      ...chart,
      series: measured('step', chart.series[0].points),
      range: [0, 20],
      guides: [{ value: 20, name: 'most' }],
    })
    expect(svg).toContain('<path class="guide" d="M44 34H384"/>')
    expect(paths(svg)[0]).toBe('M44,196L214,115L384,155.5')
    expect(labels(svg).slice(-3)).toEqual(['most', 'smoothed', 'each step'])
  })

  it('leaves out what is not finite, thins what no screen shows, and keeps the last point', () => {
    const points = Array.from({ length: 10_001 }, (_, i) => [i, i === 7 ? Number.NaN : i % 3] as const)
    const [d] = paths(lineChart({ ...chart, series: [{ name: 's', points }] }))
    expect(d).not.toContain('NaN')
    expect(d.split('L').length).toBeLessThan(510)
    expect(d).toMatch(/L384,[\d.]+$/)
    expect(lineChart({ ...chart, series: [{ name: 's', points: [] }] })).not.toContain('NaN')
    expect(lineChart({ ...chart, series: [{ name: 's', points: [[4, 2]] }] })).toContain('d="M44,')
  })

  it('escapes what it is given, alone too', () => {
    expect(lineChart(chart)).toContain('aria-label="a &#60; b &#38; &#34;c&#34;"')
    const file = standalone(lineChart(chart))
    expect(file).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" class="chart"[^>]*>\n<style>/)
  })

  it('smooths by the half-life', () => {
    const flat = Array.from({ length: 5 }, (_, i) => [i, 3] as const)
    expect(smooth(flat, 2).map(([, y]) => y)).toEqual(Array(5).fill(expect.closeTo(3, 12)))
    const [, , third] = smooth(
      [
        [0, 0],
        [1, 0],
        [2, 7],
      ],
      1,
    )
    expect(third[1]).toBeCloseTo(7 / (1 + 1 / 2 + 1 / 4), 12)
  })
})

it('a chart of shares draws each with its interval', () => {
  const svg = shareChart('t', [{ name: 'before', share: wilson(50, 100), color: 1 }])
  expect(svg).toContain('<circle class="d1" cx="217" cy="29.6" r="4"/>')
  expect(svg).toContain('>50.0 %<')
  // 0.4038 to 0.5962 of the width from 52 to 382
  expect(svg).toContain('M185.3 29.6H248.7')
})

it('HTML escapes texts and keeps HTML', () => {
  expect(html`<p title="${'"'}">${'<b>'} ${1} ${html`<i>${'&'}</i>`}${[html`x`, html`y`]}</p>`.html).toBe(
    '<p title="&#34;">&#60;b&#62; 1 <i>&#38;</i>x\ny</p>',
  )
})
