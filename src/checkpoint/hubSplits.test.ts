import { describe, expect, it } from 'vitest'
import { cardConfigs, globMatches, splitFiles } from './hubSplits.ts'

describe('cardConfigs', () => {
  it('reads each form of data_files', () => {
    const card = `---
license: mit
configs:
- config_name: a
  data_files: a.csv
- config_name: b
  default: true
  data_files:
  - split: test
    path: [x/*.parquet, y.parquet]
- config_name: c
  data_dir: dir
---
text`
    expect(cardConfigs(card)).toEqual([
      { config_name: 'a', data_files: [{ split: 'train', path: ['a.csv'] }] },
      { config_name: 'b', default: true, data_files: [{ split: 'test', path: ['x/*.parquet', 'y.parquet'] }] },
      { config_name: 'c', data_dir: 'dir' },
    ])
  })

  it.each(['', '# no front matter', '---\nconfigs: 3\n---\n', '---\na: [\n---\n'])('finds none in %j', (card) => {
    expect(cardConfigs(card)).toEqual([])
  })
})

describe('splitFiles', () => {
  const pick = (paths: string[], split = 'train', config?: string, configs = cardConfigs('')) =>
    splitFiles('o/n', paths, configs, { split, config })

  it('takes splits from the names of shards', () => {
    const paths = [
      'data/train_prefs-00001-of-00002-ab.parquet',
      'data/train_prefs-00000-of-00002-ab.parquet',
      'data/test_sft-00000-of-00001.parquet',
    ]
    expect(pick(paths, 'train_prefs')).toEqual([paths[1], paths[0]])
    expect(() => pick(paths, 'train')).toThrow('has no split "train", only test_sft, train_prefs')
  })

  it('takes splits from words in names, then in folders', () => {
    expect(pick(['my-train.jsonl', 'my-dev.jsonl'], 'validation')).toEqual(['my-dev.jsonl'])
    expect(pick(['my-train.jsonl', 'my-dev.jsonl'], 'val')).toEqual(['my-dev.jsonl'])
    expect(pick(['test/a.csv', 'train/a.csv', 'train/b.csv'])).toEqual(['train/a.csv', 'train/b.csv'])
    expect(pick(['constrained.jsonl'])).toEqual(['constrained.jsonl'])
  })

  it('takes all files of one format as train where no name gives a split', () => {
    expect(pick(['b.jsonl', 'a.jsonl', 'a.parquet', 'dataset_infos.json', '.hidden.json', 'x.py'])).toEqual([
      'a.jsonl',
      'b.jsonl',
    ])
    expect(pick(['a.jsonl', 'a.parquet'])).toEqual(['a.parquet'])
  })

  it('takes a folder as a configuration', () => {
    const paths = ['harmless-base/train.jsonl.gz', 'harmless-base/test.jsonl.gz', 'helpful-base/train.jsonl.gz']
    expect(pick(paths, 'test', 'harmless-base')).toEqual(['harmless-base/test.jsonl.gz'])
    expect(() => pick(paths, 'train', 'harmless')).toThrow('only harmless-base, helpful-base')
  })

  it('follows the card, asks which configuration, and lists what there is', () => {
    const configs = cardConfigs(
      '---\nconfigs:\n- config_name: a\n  data_files: "a/**"\n- config_name: b\n  data_dir: b\n---\n',
    )
    const paths = ['a/x/1.csv', 'b/test.csv', 'b/train.csv']
    expect(pick(paths, 'train', 'a', configs)).toEqual(['a/x/1.csv'])
    expect(pick(paths, 'test', 'b', configs)).toEqual(['b/test.csv'])
    expect(() => pick(paths, 'train', undefined, configs)).toThrow('add one of #a, #b')
    expect(() => pick(paths, 'test', 'a', configs)).toThrow('has no split "test", only train')
    expect(() => pick(paths, 'train', 'c', configs)).toThrow('has no configuration "c", only a, b')
    expect(() => pick(['x.py'])).toThrow('holds no parquet')
  })
})

describe('globMatches', () => {
  it.each([
    ['data/train-*', 'data/train-0.parquet', true],
    ['data/*', 'data/x/y', false],
    ['data/**', 'data/x/y', true],
    ['**/*.csv', 'a.csv', true],
    ['**/*.csv', 'x/y/a.csv', true],
    ['x/**/a.csv', 'x/a.csv', true],
    ['x/**/a.csv', 'x/ba.csv', false],
    ['t-0000[0-3].?sv', 't-00002.csv', true],
    ['t-0000[!0-3].?sv', 't-00002.csv', false],
    ['a.csv', 'abcsv', false],
  ])('%s on %s: %s', (glob, path, expected) => {
    expect(globMatches(glob, path)).toBe(expected)
  })

  it('stays fast on patterns made to hang', () => {
    const start = performance.now()
    expect(globMatches('*a'.repeat(60), `${'a'.repeat(400)}b`)).toBe(false)
    expect(performance.now() - start).toBeLessThan(500)
  })
})
