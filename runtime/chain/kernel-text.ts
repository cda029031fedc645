/**
 * A plain function of packet bytes, checked and made into the text of a kernel for gpu.js (runtime/device/gpujs/program.ts).
 *
 * What gpu.js does not know it often compiles to something else in silence. So what is allowed is a short list: numbers, let and const, if,
 * for, arithmetic, comparisons, some of Math, the function's parameters, and packet[...]. And the text is written anew from the function's
 * tree, so that what its modes get wrong does not occur in it:
 *   - every variable has a name of its own: webasm takes those of one name for one, and a loop whose counter an inner loop sets anew may
 *     never end; cpu declares those of two loops side by side
 *   - numbers, results of bit operations and of ?:, and what variables begin with, go through Math.floor, which makes all of them f32, and x++ is
 *     x += 1: webgpu mixes i32 and f32, which its language refuses
 *   - no continue: where a loop's bound is no constant, cpu and webgpu go on without its step
 */
import { type Node, Parser } from "acorn";
import { UserProblem } from "./user-source.js";

/** What gpu.js, in all modes, and JavaScript compute alike for whole numbers. */
const MATH = ["abs", "floor", "max", "min"];
const BITS = ["&", "|", "^", "<<", ">>"];
const BINARY = ["+", "-", "*", "==", "!=", "===", "!==", "<", ">", "<=", ">=", ...BITS];
const ASSIGNMENTS = ["=", "+=", "-=", "*=", "&=", "|=", "^=", "<<=", ">>="];
const UNARY = ["-", "+", "!", "~"];

/** f32 is exact below it. */
const EXACT = 2 ** 24;

type Any = Node & Record<string, unknown>;
/** What a name of the function's is called in the text. */
type Names = ReadonlyMap<string, string>;

export interface KernelText {
  readonly text: string;
  /** Parameters behind packet and length. */
  readonly parameters: number;
}

/**
 * @param most bytes of a packet the function sees
 * @throws UserProblem with the line within the function
 */
export function kernelText(kernel: (...args: never[]) => number, most: number): KernelText {
  const source = Function.prototype.toString.call(kernel);
  const refuseAt = (problem: string, at: number) =>
    new UserProblem(problem, kernel, source.slice(0, Math.max(0, at)).split("\n").length - 1);
  const { tree, shift } = parse(source, (problem) => refuseAt(problem, 0));
  const refuse = (problem: string, node: Node) => refuseAt(problem, node.start - shift);
  if (tree["async"] === true || tree["generator"] === true) throw refuse("the kernel must be a plain function", tree);
  const names = (tree["params"] as Any[]).map((param) => {
    if (param.type === "Identifier") return param["name"] as string;
    throw refuse("parameters of a kernel are plain names", param);
  });
  if (names.length === 0) throw refuse("a kernel is a function (packet, length, ...parameters)", tree);
  return new Writer(refuse, names, most).write(tree["body"] as Any);
}

class Writer {
  private variables = 0;

  constructor(
    private readonly refuse: (problem: string, node: Node) => UserProblem,
    private readonly names: readonly string[],
    private readonly most: number,
  ) {}

  write(body: Any): KernelText {
    const [, length, ...parameters] = this.names;
    const known = new Map<string, string>();
    const lines = ["function kernel(bytes, entries, stride) {", "const at = this.thread.x * stride;"];
    const add = (name: string, from: string) => {
      known.set(name, this.fresh());
      lines.push(`let ${known.get(name)} = ${from};`);
    };
    if (length !== undefined) add(length, "entries[this.thread.x]");
    for (const [i, name] of parameters.entries()) add(name, `this.constants.parameters[${i}]`);
    if (body.type === "BlockStatement") lines.push(...this.list(body["body"] as Any[], known));
    else lines.push(`return ${this.value(body, known)};`);
    return { text: `${lines.join("\n")}\n}`, parameters: parameters.length };
  }

  private fresh(): string {
    return `v${++this.variables}`;
  }

  /** Statements of a block, which see the names it declares. */
  private list(nodes: readonly Any[], outside: Names): string[] {
    const known = new Map(outside);
    return nodes.map((node) =>
      node.type === "VariableDeclaration" ? this.declaration(node, known, "Math.floor") : this.statement(node, known),
    );
  }

  /** Enters the names in `known`, each behind what it begins with. */
  private declaration(node: Any, known: Map<string, string>, around: string): string {
    if (node["kind"] === "var") throw this.refuse("write let or const, not var", node);
    return (node["declarations"] as { id: Any; init: Any | null }[])
      .map(({ id, init }) => {
        if (id.type !== "Identifier") throw this.refuse("a kernel declares plain names", id);
        const name = id["name"] as string;
        if (init === null) throw this.refuse(`"${name}" needs a value where it is declared`, id);
        const value = this.value(init, known);
        known.set(name, this.fresh());
        return `let ${known.get(name)} = ${around}(${value});`;
      })
      .join("\n");
  }

  private statement(node: Any, known: Names): string {
    const part = (key: string) => node[key] as Any | null;
    switch (node.type) {
      case "BlockStatement":
        return `{\n${this.list(node["body"] as Any[], known).join("\n")}\n}`;
      case "EmptyStatement":
        return "";
      case "BreakStatement":
        if (part("label") !== null) throw this.refuse("a kernel cannot have labels", node);
        return "break;";
      case "ContinueStatement":
        // Where a loop's bound is no constant, modes cpu and webgpu leave out its step.
        throw this.refuse("a kernel cannot have continue: gpu.js goes on without the loop's step; write if", node);
      case "ReturnStatement":
        if (part("argument") === null) throw this.refuse("a kernel returns a number", node);
        return `return ${this.value(part("argument")!, known)};`;
      case "IfStatement": {
        const otherwise = part("alternate") === null ? "" : ` else {\n${this.statement(part("alternate")!, known)}\n}`;
        return `if (${this.value(part("test")!, known)}) {\n${this.statement(part("consequent")!, known)}\n}${otherwise}`;
      }
      case "ForStatement":
        return this.loop(node, known);
      case "ExpressionStatement":
        return `${this.change(part("expression")!, known)};`;
      default:
        throw this.refuse(`a kernel cannot have this: ${wordsOf(node.type)}`, node);
    }
  }

  private loop(node: Any, outside: Names): string {
    const [init, test, update] = [node["init"], node["test"], node["update"]] as (Any | null)[];
    const known = new Map(outside);
    if (init?.type !== "VariableDeclaration" || !test || !update || (init["declarations"] as unknown[]).length !== 1) {
      throw this.refuse("a loop of a kernel is for (let i = ...; ...; ...)", node);
    }
    const head = this.declaration(init, known, "");
    const body = this.statement(node["body"] as Any, known);
    return `for (${head} ${this.value(test, known)}; ${this.change(update, known)}) {\n${body}\n}`;
  }

  /** What stands for itself: an assignment, or a step. */
  private change(node: Any, known: Names): string {
    const operator = node["operator"] as string;
    if (node.type === "UpdateExpression")
      return `${this.variable(node["argument"] as Any, known)} ${operator[0]}= Math.floor(1)`;
    if (node.type !== "AssignmentExpression") throw this.refuse("this has no effect in a kernel", node);
    if (!ASSIGNMENTS.includes(operator)) throw this.refuse(wrongOperator(operator), node);
    const name = this.variable(node["left"] as Any, known);
    const value = this.value(node["right"] as Any, known);
    if (operator === "=") return `${name} = ${value}`;
    if (["+=", "-="].includes(operator)) return `${name} ${operator} ${value}`;
    return `${name} = ${this.binary(operator.slice(0, -1), name, value)}`;
  }

  private variable(node: Any, known: Names): string {
    if (node.type === "Identifier") return this.value(node, known);
    throw this.refuse("a kernel assigns to variables only; what becomes of the packet finish() does", node);
  }

  private binary(operator: string, left: string, right: string): string {
    return `${BITS.includes(operator) ? "Math.floor" : ""}(${left} ${operator} ${right})`;
  }

  private value(node: Any, known: Names): string {
    const of = (key: string) => this.value(node[key] as Any, known);
    const operator = node["operator"] as string;
    switch (node.type) {
      case "Literal":
        if (typeof node["value"] === "number" && !(Number.isInteger(node["value"]) && node["value"] < EXACT)) {
          throw this.refuse(`a kernel knows whole numbers below 2^24, found ${node["raw"]}`, node);
        }
        if (typeof node["value"] === "number") return `Math.floor(${node["value"]})`;
        throw this.refuse(`a kernel knows numbers only, found ${node["raw"]}`, node);
      case "Identifier":
        return this.named(node, known);
      case "BinaryExpression":
        if (!BINARY.includes(operator)) throw this.refuse(wrongOperator(operator), node);
        return this.binary(operator, of("left"), of("right"));
      case "LogicalExpression":
        if (operator === "??") throw this.refuse(wrongOperator(operator), node);
        return `(${of("left")} ${operator} ${of("right")})`;
      case "UnaryExpression":
        if (!UNARY.includes(operator)) throw this.refuse(wrongOperator(operator), node);
        if (operator === "~") return `Math.floor(Math.floor(-1) - ${of("argument")})`;
        return `(${operator}(${of("argument")}))`;
      case "ConditionalExpression":
        return `Math.floor(${of("test")} ? ${of("consequent")} : ${of("alternate")})`;
      case "MemberExpression":
        return this.byte(node, known);
      case "CallExpression":
        return this.call(node, known);
      case "AssignmentExpression":
      case "UpdateExpression":
        throw this.refuse("in a kernel an assignment stands for itself", node);
      default:
        throw this.refuse(`a kernel cannot have this: ${wordsOf(node.type)}`, node);
    }
  }

  private named(node: Any, known: Names): string {
    const name = node["name"] as string;
    const own = known.get(name);
    if (own !== undefined) return own;
    const [packet] = this.names;
    if (name === packet) throw this.refuse(`"${packet}" can only be indexed: ${packet}[i]`, node);
    const problem = `"${name}" is not known here: a kernel sees its parameters, its own variables and Math`;
    throw this.refuse(problem, node);
  }

  /** packet[i]: behind what the kernel sees there is no number. */
  private byte(node: Any, known: Names): string {
    const [packet] = this.names;
    const object = node["object"] as Any;
    const isPacket = object["name"] === packet && !known.has(packet!) && node["computed"] === true;
    if (!isPacket) throw this.refuse(`of objects a kernel knows ${packet}[i] and Math alone`, node);
    return `bytes[at + Math.min(Math.max(${this.value(node["property"] as Any, known)}, 0), ${this.most})]`;
  }

  private call(node: Any, known: Names): string {
    const { object, property, computed } = node["callee"] as unknown as Record<string, { name?: string } | undefined>;
    const name = property?.name ?? "";
    if (object?.name !== "Math" || computed || known.has("Math") || !MATH.includes(name)) {
      const all = MATH.map((one) => `Math.${one}`).join(", ");
      throw this.refuse(`a kernel can call ${all} and nothing else`, node);
    }
    const given = (node["arguments"] as Any[]).map((argument) => this.value(argument, known));
    const wanted = name === "max" || name === "min" ? 2 : 1;
    if (given.length !== wanted) throw this.refuse(`Math.${name} takes ${wanted} in a kernel`, node);
    return `Math.${name}(${given.join(", ")})`;
  }
}

/** The function's tree; `shift`: what was put in front of the source. A method's text is none by itself. */
function parse(source: string, refuse: (problem: string) => Error): { tree: Any; shift: number } {
  const expression = (text: string) => Parser.parseExpressionAt(text, 0, { ecmaVersion: "latest" }) as Any;
  try {
    return { tree: expression(`(${source})`), shift: 1 };
  } catch {
    try {
      const [property] = expression(`({${source}})`)["properties"] as Any[];
      return { tree: property!["value"] as Any, shift: 2 };
    } catch {
      throw refuse("the kernel has no text to read: native or bound functions cannot be one");
    }
  }
}

/** Division of f32 need not be exact on a GPU, even where the quotient is whole (WGSL: 2.5 ULP). */
function wrongOperator(operator: string): string {
  const instead = /^[/%]/.test(operator) ? ": not exact on every GPU; write x >> n, or x & mask" : "";
  return `a kernel cannot have the operator ${operator}${instead}`;
}

function wordsOf(type: string): string {
  return type.replace(/(?!^)([A-Z])/g, " $1").toLowerCase();
}
