(function () {
  "use strict";
  var root = document.documentElement;
  var asked = new URLSearchParams(location.search);
  var theme = asked.get("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  function named() {
    var hash = /^#(en|zh)(-|$)/.exec(location.hash);
    var wanted = asked.get("lang") || (hash && hash[1]) || navigator.language || "en";
    return wanted.toLowerCase().indexOf("zh") === 0 ? "zh" : "en";
  }
  function show(language) {
    root.dataset.lang = language;
    root.lang = language === "zh" ? "zh-Hans" : "en";
    var page = document.getElementById(language);
    if (page) document.title = page.dataset.title;
  }
  function turn(event) {
    var language = event.currentTarget.dataset.to;
    var part = location.hash.replace(/^#(en|zh)/, "");
    show(language);
    var place = part && document.getElementById(language + part);
    if (place) place.scrollIntoView();
    var button = document.querySelector("#" + language + " button[data-to]");
    if (button) button.focus({ preventScroll: true });
  }
  function open() {
    document.querySelectorAll("details").forEach(function (one) { one.open = true; });
  }
  show(named());
  document.querySelectorAll("button[data-to]").forEach(function (button) {
    button.hidden = false;
    button.addEventListener("click", turn);
  });
  window.addEventListener("beforeprint", open);
})();
