import { describe, expect, it } from 'vitest'
import { wilson } from '../statistics/intervals.ts'
import { html } from './html.ts'
import { lineChart, measured, smooth } from './lineChart.ts'
import { shareChart } from './shareChart.ts'
import { standalone } from './svg.ts'
import { ticks } from './ticks.ts'

describe('ticks', () => {
  it.each<[number, number, number[]]>([
    [0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [0.7, 1.79, [0.5, 1, 1.5, 2]],
    [-0.013, 0.12, [-0.05, 0, 0.05, 0.1, 0.15]],
    [1, 400, [0, 100, 200, 300, 400]],
    [3, 3, [3, 4]],
    [0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1].slice(0, 2)],
  ])('from %f to %f', (low, high, expected) => {
    expect(ticks(low, high)).toEqual(expected)
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
    expect(paths(lineChart(chart))).toEqual(['M44 196L214 34L384 115'])
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
    expect(paths(svg)[0]).toBe('M44 196L214 115L384 155.5')
    expect(labels(svg).slice(-3)).toEqual(['most', 'smoothed', 'each step'])
  })

  it('leaves out what is not finite, thins what no screen shows, and keeps the last point', () => {
    const points = Array.from({ length: 10_001 }, (_, i) => [i, i === 7 ? Number.NaN : i % 3] as const)
    const [d] = paths(lineChart({ ...chart, series: [{ name: 's', points }] }))
    expect(d).not.toContain('NaN')
    expect(d.split('L').length).toBeLessThan(510)
    expect(d).toMatch(/L384 [\d.]+$/)
    expect(lineChart({ ...chart, series: [{ name: 's', points: [] }] })).not.toContain('NaN')
    expect(lineChart({ ...chart, series: [{ name: 's', points: [[4, 2]] }] })).toContain('d="M44 ')
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
