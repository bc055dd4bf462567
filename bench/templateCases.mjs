/**
 * Makes random snippets of chat templates from a seed.
 * Expressions of every kind (null, numbers of all sizes, strings, lists, dicts) go through operators, filters, tests, methods and
 * slices, inside loops, macros, namespaces and tags with every form of white space control. Most are valid. The others test
 * that both sides refuse them.
 */

/** Data as JSON text, so that each side parses the numbers itself. */
export const documents = [
  '{"m": {"role": "user", "content": "Hi  <b>you</b> & me", "a": null, "n": 1.0, "big": 12345678901234567890, "tool": {"10": 1, "2": -0.0, "x": 1e20, "y": 1E-7}}, "xs": [3, null, 1.5, 2], "words": ["beta", "Alpha", "", "gamma ray"], "rows": [{"k": "b", "v": 1, "t": {"q": null}}, {"k": "a", "v": null, "t": {"q": 2}}, {"k": "B", "v": 2.50}], "s": "The quick-brown fox -- jumps\\n over  the\\tlazy dog", "f": 0.1, "i": 7, "z": 0, "none_": null, "yes": true}',
  '{"m": {"role": "assistant", "content": null, "a": "é😀\\u00df", "n": -3, "big": -9007199254740993, "tool": {"name": "f", "arguments": {"b": [1, 2.0, null], "a": {"c": 1e-5}}}}, "xs": [0, 5, 5.0, -2], "words": ["é", "E", "ß", "z z"], "rows": [{"k": "x", "v": 10}, {"k": null, "v": 3}, {"v": 7, "t": null}], "s": "  padded text\\r\\nsecond line", "f": 1234567.891, "i": -13, "z": 0.0, "none_": null, "yes": false}',
  '{"m": {"role": "tool", "content": "{\\"a\\": 1}", "a": [], "n": 0.5, "big": 1000000000000000000000000, "tool": {}}, "xs": [], "words": [], "rows": [], "s": "", "f": -0.0, "i": 2, "z": 0, "none_": null, "yes": true}',
  '{"m": {"role": "user", "content": "a.b.c", "a": {"x": [1, [2, [3]]]}, "n": 1e16, "big": 123456789012345678, "tool": {"é": "<\\u2028>", "q\\"": "\\\\", "n": 100000000000000000000.0}}, "xs": [1, 2, 3, 4, 5, 6, 7], "words": ["one", "two", "three", "one", "TWO"], "rows": [{"k": "d", "v": 4.0, "t": {"q": "s"}}, {"k": "c", "v": 4, "t": {"q": "r"}}], "s": "x=1, y=2; it\'s \\"quoted\\" 50% off", "f": 2.675, "i": 255, "z": 0, "none_": null, "yes": true}',
]

/** @returns numbers in [0, 1) that the seed alone decides (mulberry32) */
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

/** `count` cases: a template and the number of its document. */
export const templateCases = (count, seed) => {
  const next = random(seed)
  return Array.from({ length: count }, () => {
    const template = snippet(next)
    return { template, document: Math.floor(next() * documents.length) }
  })
}

const snippet = (next) => {
  const pick = (list) => list[Math.floor(next() * list.length)]
  const chance = (p) => next() < p
  const some = (make, most = 3) => Array.from({ length: Math.floor(next() * (most + 1)) }, make)
  /** Names bound by the enclosing loops and macros. */
  let names = []
  const within = (added, make) => {
    const outer = names
    names = [...names, ...added]
    const made = make()
    names = outer
    return made
  }

  const inLoop = (make, other) => (names.includes('loop') ? make() : other)

  const literalInt = () => pick(['0', '1', '2', '3', '-1', '-2', '7', '10', '255', '9007199254740993', '12345678901234567890', '1_000'])
  const literalFloat = () => pick(['0.0', '1.0', '1.5', '-2.5', '0.1', '2.675', '1e20', '1e-7', '1e16', '123456.789', '0.5', '3.0'])
  const literalText = () =>
    pick(["''", "'a'", "'Hello World'", "'x,y,,z'", "' pad '", "'it\\'s'", '"q"', "'é😀'", "'<i>&'", "'a-b c_d'", "'12'", "'3.7'", "'-4'", "'A'", "'line\\nnext'", "'%'", "'ab' 'cd'", "'ß'", "'1_0'", "'inf'"])
  const name = () => pick(['m', 'xs', 'words', 'rows', 's', 'f', 'i', 'z', 'none_', 'yes', 'nope', ...names, ...names])

  const number = (d) => {
    if (d <= 0 || chance(0.3)) return pick([literalInt, literalInt, literalFloat, () => pick(['i', 'f', 'z', 'm.n', 'm.big', 'xs[0]', 'xs|length', 'true'])])()
    return pick([
      () => `(${number(d - 1)} ${pick(['+', '-', '*', '/', '//', '%'])} ${number(d - 2)})`,
      () => `(${number(d - 1)} ** ${pick(['0', '1', '2', '3', '-1', '2.0', '-2.0'])})`,
      () => `(${list(d - 1)}|length)`,
      () => `(${number(d - 1)}|${pick(['abs', 'int', 'float', 'round', 'round(1)', 'round(2)', 'round(-1)', "round(1, 'floor')", "round(0, 'ceil')", 'string|int'])})`,
      () => `(${text(d - 1)}|${pick(['int', 'float', 'length', 'wordcount', 'int(none)', 'float(none)', 'int(5)', 'int(0, 16)', 'int(7, base=2)', 'float(1.5)', 'int(0, 0)'])})`,
      () => `(${list(d - 1)}|${pick(['sum', 'max', 'min', 'first', 'last', "sum('v')", "sum(attribute='v', start=10)"])})`,
      () => `-${number(d - 1)}`,
      () => `${text(d - 1)}.${pick(["count('a')", "find('l')", "rfind('o', 1)", "index('a')", "find('e', 2, 5)"])}`,
      () => inLoop(() => `loop.${pick(['index', 'index0', 'revindex', 'revindex0', 'length', 'depth'])}`, 'i'),
      () => `${number(d - 1)}.${pick(['real', 'imag', 'numerator', 'denominator'])}`,
      () => `(${number(d - 1)} if ${bool(d - 1)} else ${number(d - 1)})`,
    ])()
  }

  const textFilters = () =>
    pick(['upper', 'lower', 'title', 'capitalize', 'trim', "trim('ax ')", 'string', 'reverse', 'e', 'escape', 'safe', 'forceescape', 'striptags', 'urlencode', 'indent', 'indent(2, true)', "indent('> ', blank=true)", 'indent(width=3, first=true)', 'truncate(9)', 'truncate(5, true)', "truncate(8, false, '…', 0)", 'center(20)', 'center(3)', "replace('a', 'X')", "replace('e', none)", "replace('', '-')", "replace('l', 'L', 1)", "default('D')", "d('D', true)", 'wordwrap(8)', 'wordwrap(5, false)', "wordwrap(6, true, '|')", 'wordwrap(10, break_on_hyphens=false)', 'tojson', 'pprint', 'list|string', "format('x')", 'filesizeformat', "replace('a', 1)", 'wordwrap'])

  const methods = () =>
    pick(['upper()', 'lower()', 'title()', 'strip()', "strip('aH ')", 'lstrip()', "rstrip('d')", 'capitalize()', 'swapcase()', 'casefold()', "replace('a', 'b')", "replace('l', '', 1)", "split()[0]", "split(',')[-1]", "split('a', 1)[0]", "rsplit(' ', 1)[0]", 'splitlines()[0]', 'splitlines(true)[-1]', "partition('l')[2]", "rpartition(' ')[0]", "join(['1', '2'])", "join(words)", "center(12, '*')", 'ljust(8)', "rjust(8, '.')", 'zfill(6)', "removeprefix('He')", "removesuffix('d')", 'expandtabs(4)', "format(1, 2.5)", "ljust(2)", "translate({97: 'AA', 101: none})", 'split(none, 1)[0]'])

  const formats = () =>
    pick(["'%s|%r' % (V, V)", "'%5.2f' % N", "'%d' % N", "'%-6s|' % V", "'%+d' % N", "'%05d' % N", "'%x' % N", "'%e' % N", "'%g' % N", "'%s' % V", "'%%%s' % V", "'%(a)s' % {'a': V}", "'%.3s' % V", "'%c' % 65", "'{}-{}'.format(V, N)", "'{:>8}'.format(V)", "'{:.2f}'.format(N)", "'{:,}'.format(N)", "'{:08.3f}'.format(N)", "'{0}{1}{0}'.format(V, N)", "'{a!r:^12}'.format(a=V)", "'{:x}'.format(N)", "'{:e}'.format(N)", "'{:g}'.format(N)", "'{:%}'.format(N)", "'{:+}'.format(N)", "'{m[role]}'.format(m=m)", "'{0.role}'.format(m)", "'{:*^9}'.format(V)", "'{:#x}'.format(N)", "'{:_}'.format(N)", "'{:.3}'.format(N)", "'{:{}}'.format(V, 7)", "'%s'|format(V)", "'%s %d'|format(V, N)", "'{:,.1f}'.format(N)", "'{:010,}'.format(N)", "'%.0f' % N", "'%#.3g' % N", "'%a' % V", "'%o' % N", "'%*d' % (5, N)", "'{:n}'.format(N)", "'{:b}'.format(N)", "'{:6}|{:<6}|{:^6}'.format(N, N, N)"])

  const text = (d) => {
    if (d <= 0 || chance(0.25)) return pick([literalText, literalText, () => pick(['s', 'm.content', 'm.role', 'words[0]', "m['content']", 'words[-1]', 'm.a'])])()
    return pick([
      () => `(${text(d - 1)} + ${text(d - 1)})`,
      () => `(${any(d - 1)} ~ ${any(d - 1)})`,
      () => `(${text(d - 1)} * ${pick(['2', '0', '-1', '3', 'i', 'z'])})`,
      () => `(${text(d - 1)}|${textFilters()})`,
      () => `(${any(d - 1)}|${textFilters()})`,
      () => `${text(d - 1)}.${methods()}`,
      () => `${text(d - 1)}${slice()}`,
      () => `(${formats().replaceAll('V', () => any(d - 2)).replaceAll('N', () => number(d - 2))})`,
      () => `(${list(d - 1)}|${pick(["join(', ')", 'join', "join('-', attribute='k')", 'first', 'last', "map('string')|join(',')", "map('upper')|join", "join(none)", "join(1)"])})`,
      () => `(${any(d - 1)}|tojson${pick(['', '', '', '(indent=2)', '(indent=0)', '(sort_keys=true)', "(separators=(',', ':'))", '(ensure_ascii=true)', '(true, 4)', "(indent='--')", '(indent=1, sort_keys=true)'])})`,
      () => `${text(d - 1)}[${literalInt()}]`,
      () => inLoop(() => `loop.cycle(${any(d - 1)}, ${any(d - 2)})`, 's'),
      () => `(${any(d - 1)}|string)`,
      () => `(${pick(['m', 'm.tool', '{}', 'rows[0]'])}|xmlattr)`,
    ])()
  }

  const slice = () => {
    const bound = () => pick(['', '', '0', '1', '2', '-1', '-2', '100', 'none', 'i'])
    return `[${bound()}:${bound()}${chance(0.4) ? `:${pick(['', '1', '2', '-1', '-2'])}` : ''}]`
  }

  const predicates = () =>
    pick(['none', 'defined', 'undefined', 'string', 'number', 'integer', 'float', 'boolean', 'mapping', 'sequence', 'iterable', 'callable', 'true', 'false', 'lower', 'upper', 'odd', 'even', 'divisibleby 3', 'divisibleby(2)', 'eq 1', 'equalto 1.0', 'ne none', 'gt 1', 'ge 2', 'lt 3', 'le 2', "in ['a', 1, none]", "in 'abc'", 'sameas none', 'sameas true', 'escaped', "greaterthan 1", 'lessthan 5', 'filter', 'test', '== 1', 'in xs'])

  const list = (d) => {
    if (d <= 0 || chance(0.2)) return pick(['xs', 'words', 'rows', '[]', '[none]', '[1, 2.0, none]', "['b', 'A', 'c']", '(1, 2)', '()', 'range(4)', 'range(5, 1, -2)', '(none,)', "[[1, 2], [3]]", "[true, 0, '']", 'none_', 'nope'])
    return pick([
      () => `[${some(() => any(d - 1)).join(', ')}]`,
      () => `(${some(() => any(d - 1)).map((x) => `${x}, `).join('')})`,
      () => `(${list(d - 1)} + ${list(d - 1)})`,
      () => `(${list(d - 1)} * ${pick(['2', '0', '1', '-3'])})`,
      () => `${list(d - 1)}${slice()}`,
      () => `(${list(d - 1)}|${pick(['list', 'sort', 'sort(reverse=true)', 'reverse|list', 'unique|list', "sort(attribute='k')", "sort(attribute='v,k')", "sort(case_sensitive=true)", 'batch(2)|list', "batch(2, 'x')|list", 'batch(3, none)|list', 'slice(2)|list', "slice(3, 'x')|list", "map(attribute='k')|list", "map(attribute='v', default=9)|list", "map(attribute='t.q')|list", "map('int')|list", "map('default', 'D')|list", "map('upper')|list", "select|list", 'reject|list', "select('none')|list", "reject('none')|list", "select('number')|list", "select('gt', 1)|list", "selectattr('v')|list", "selectattr('v', 'none')|list", "rejectattr('k', 'equalto', 'a')|list", "selectattr('t', 'defined')|list", "groupby('k')|list", "groupby('v', default=0)|list", "unique(attribute='k')|list", "map('string')|list", "map('tojson')|list", "groupby('k', case_sensitive=true)|map(attribute='grouper')|list", "map('length')|list", "map('first')|list", "map('nope')|list", 'map("round", 1)|list', "selectattr('k', 'in', ['a', 'x'])|list", 'sort(true, true)', "unique(true)|list"])})`,
      () => `(${text(d - 1)}|list)`,
      () => `${text(d - 1)}.split(${pick(['', "' '", "'a'", "',', 1"])})`,
      () => `(${dictionary(d - 1)}|${pick(['items|list', 'list', 'dictsort', "dictsort(by='value')", 'dictsort(reverse=true)', 'dictsort(true)'])})`,
      () => `${dictionary(d - 1)}.${pick(['keys()|list', 'values()|list', 'items()|list', 'keys()', 'values()', 'items()'])}`,
    ])()
  }

  const key = () => pick(["'a'", "'b'", '1', '1.0', 'true', 'none', "'10'", "'2'", "(1, 2)", '2', "'role'", '0.5'])
  const dictionary = (d) => {
    if (d <= 0 || chance(0.3)) return pick(['m', 'm.tool', '{}', "{'a': none}", "{'b': 1, 'a': 2}", 'rows[0]', "{'x': {'y': [1, none]}}", 'dict(a=1, b=none)'])
    return pick([
      () => `{${some(() => `${key()}: ${any(d - 1)}`).join(', ')}}`,
      () => `dict(${pick(["[('a', 1)]", "{'a': 3}, b=none", `z=${any(d - 1)}`, '[[1, 2], (3, 4)]', 'm.tool', "a=1, **{'b': 2}"])})`,
      () => `dict.fromkeys(${list(d - 1)}${pick(['', ', 0'])})`,
      () => `${dictionary(d - 1)}.copy()`,
    ])()
  }

  const bool = (d) => {
    if (d <= 0 || chance(0.15)) return pick(['true', 'false', 'yes', 'none_', 'm.a', 'xs', 'nope', 'm.content', 'z'])
    return pick([
      () => `${any(d - 1)} is ${chance(0.25) ? 'not ' : ''}${predicates()}`,
      () => `(${any(d - 1)} ${pick(['==', '!=', '<', '<=', '>', '>='])} ${any(d - 1)})`,
      () => `(${number(d - 1)} ${pick(['==', '!=', '<', '<=', '>', '>='])} ${number(d - 1)})`,
      () => `(${number(d - 2)} < ${number(d - 2)} <= ${number(d - 2)})`,
      () => `${any(d - 1)} ${pick(['in', 'not in'])} ${pick([list, text, dictionary])(d - 1)}`,
      () => `(not ${any(d - 1)})`,
      () => `(${any(d - 1)} ${pick(['and', 'or'])} ${any(d - 1)})`,
      () => `${text(d - 1)}.${pick(["startswith('H')", "endswith('d')", "startswith(('a', 'T'))", 'isdigit()', 'isalpha()', 'isupper()', 'islower()', 'isspace()', 'istitle()', 'isalnum()', 'isnumeric()', 'isascii()', 'isprintable()', 'isidentifier()', "startswith('l', 2)", 'isdecimal()'])}`,
      () => inLoop(() => `loop.${pick(['first', 'last', 'changed(i)'])}`, 'yes'),
    ])()
  }

  const any = (d) => {
    if (d <= 0) return pick([name, name, literalInt, literalText, literalFloat, () => pick(['none', 'm.a', 'm.nope', "m['a']", 'm.tool.x', 'm.n', 'm.big', inLoop(() => pick(['loop.index', 'loop.nextitem', 'loop.previtem']), 'f')])])()
    return pick([
      number, number, text, text, list, list, dictionary, bool,
      () => `${name()}.${pick(['a', 'k', 'v', 't', 'q', 'role', 'content', 'nope', 'items', 'n', 'tool'])}`,
      () => `${name()}[${pick(["'a'", '0', '-1', "'k'", 'none', '1.0', 'true', "'nope'", '99'])}]`,
      () => `${dictionary(d - 1)}.get(${key()}${pick(['', ", 'x'", ', none'])})`,
      () => `(${any(d - 1)}|${pick(["default('D')", 'default(none)', "default('D', true)", 'd', 'default(0, boolean=true)', 'first', 'last', 'attr("a")', 'tojson', 'string', 'length', 'list', 'int', 'float', 'items|list', "default(default_value='V')", 'abs', 'count', 'max', 'min', 'upper'])})`,
      () => `(${any(d - 1)} if ${bool(d - 1)}${chance(0.7) ? ` else ${any(d - 1)}` : ''})`,
    ])()
  }

  const tag = (inside) => `{%${pick(['', '', '', '-', '+'])} ${inside} ${pick(['', '', '', '-', '+'])}%}`
  const print = (inside) => `{{${pick(['', '', '', '-', '+'])} ${inside} ${pick(['', '', '', '-'])}}}`
  const data = () => pick(['', ' ', '\n', 'x', ' text\n', '\n\n  ', '  <|im|>', 'é', "a 'b' ", '\t'])

  const body = (d) => Array.from({ length: 1 + Math.floor(next() * 3) }, () => data() + statement(d) + data()).join('')
  const statement = (d) => {
    if (d <= 0 || chance(0.45)) return print(any(chance(0.5) ? 2 : 3))
    return pick([
      () => `${tag(`for x in ${list(2)}${chance(0.2) ? ` if ${within(['x'], () => bool(1))}` : ''}`)}${within(['x', 'x', 'loop'], () => body(d - 1))}${chance(0.2) ? tag('else') + data() : ''}${tag('endfor')}`,
      () => `${tag(`for k, v in ${dictionary(1)}.items()`)}${within(['k', 'v', 'loop'], () => body(d - 1))}${tag('endfor')}`,
      () => `${tag(`if ${bool(2)}`)}${body(d - 1)}${chance(0.4) ? tag(`elif ${bool(1)}`) + body(d - 1) : ''}${chance(0.5) ? tag('else') + body(d - 1) : ''}${tag('endif')}`,
      () => `${tag(`set y = ${any(2)}`)}${within(['y'], () => body(d - 1))}`,
      () => `${tag(`set y${pick(['', ' | upper', ' | trim'])}`)}${body(d - 1)}${tag('endset')}${within(['y'], () => print('y'))}`,
      () => `${tag('set ns = namespace(a=none, b=1)')}${tag(`for x in ${list(1)}`)}${tag(`set ns.a = ${within(['x'], () => any(2))}`)}${tag('endfor')}${print('ns.a')}${print('ns.c is defined')}`,
      () => `${tag(`macro f(p, q=${any(1)})`)}${within(['p', 'q', 'p'], () => body(d - 1))}${pick(['', print('varargs'), print('kwargs'), print('caller()')])}${tag('endmacro')}${print(`f(${pick(['', 'none', 'none, none', '1, q=none', 'q=2', '1, 2, 3', '1, r=3', `${any(1)}, ${any(1)}`])})`)}`,
      () => `${tag('macro g(p)')}[${print('caller(p)')}]${tag('endmacro')}${tag(`call(c) g(${any(1)})`)}${within(['c'], () => body(d - 1))}${tag('endcall')}`,
      () => `${tag(`for x in ${list(1)} recursive`)}${print('x')}${tag('if x is iterable and x is not string and x is not mapping')}<${print('loop(x)')}>${tag('endif')}${tag('endfor')}`,
      () => `${tag(`for x in ${list(1)}`)}${tag(`if ${within(['x'], () => bool(1))}`)}${tag(pick(['break', 'continue']))}${tag('endif')}${within(['x', 'loop'], () => body(d - 1))}${chance(0.3) ? tag('else') + 'E' : ''}${tag('endfor')}`,
      () => `${tag(`filter ${pick(['upper', 'trim', 'indent(2)', "replace('a', 'b')", 'e'])}`)}${body(d - 1)}${tag('endfilter')}`,
      () => `${tag(`with w = ${any(1)}, u = 1`)}${within(['w', 'u'], () => body(d - 1))}${tag('endwith')}`,
      () => `{#${pick(['', '-'])} note ${pick(['', '-'])}#}${data()}${print(any(2))}`,
      () => `${tag('raw')}{{ x }}${tag('endraw')}`,
      () => `${tag('generation')}${body(d - 1)}${tag('endgeneration')}`,
      () => `${tag(`set c = cycler(${any(1)}, ${any(1)})`)}${print('c.next()')}${print('c.next()')}${print('c.current')}`,
      () => `${tag('set j = joiner()')}${print('j()')}${print('j()')}`,
      () => tag(`if ${bool(2)}`) + tag(`set y = ${any(1)}`) + tag('endif') + print('y'),
    ])()
  }

  return chance(0.5) ? print(any(3)) : body(2)
}
